"""What runs on a board: takes charge of steps, runs them in processes of their own, and reports what happens.

Start reading at `agent` (wiring), then `intake` and `runner`. Imports nothing of the server, and little of anything:
a board has few resources.
"""
