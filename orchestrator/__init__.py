"""The core: accounts, catalogue of workties, workflows, boards, and the run engine with its stores.

Knows MongoDB and the broker, but no transport to clients: `api` calls it.
"""
