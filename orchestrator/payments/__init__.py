"""Payments: how accounts acquire templates."""
