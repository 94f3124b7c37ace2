"""Boards: what the server knows of them, and who holds their slots."""
