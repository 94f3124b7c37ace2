"""What a workty is: the SDK, the package format, the messages about a step, and the built-in workties.

Imported by the orchestrator and by the agent on a board; imports neither. Pure Python.
"""
