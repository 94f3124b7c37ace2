"""The command line, and the only place where server and boards are put together in one process.

Commands that a board uses import nothing of the server: imports of either side happen inside the commands.
"""
