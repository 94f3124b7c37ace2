"""REST API v1: parameters in, services called, answers out."""
