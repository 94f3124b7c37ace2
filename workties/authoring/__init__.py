"""Helps those who write workties: makes a new one, checks one, draws one. No step on a board imports any of it."""
