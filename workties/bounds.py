"""Names and bounds that server, agent and the program of a step share. Constants only: every step imports them."""

from __future__ import annotations

#: Largest checkpoint and largest output of a step, bytes of JSON.
MAX_STATE_BYTES = 256 * 1024
#: Longest line of output that is kept, characters.
MAX_LINE = 2000
#: Longest line of the step protocol in either direction, bytes without its newline. A longer one is refused.
MAX_LINE_BYTES = 512 * 1024
#: Longest message beside a progress, characters; what is longer is cut.
MAX_PROGRESS_MESSAGE = 200

#: Environment variable: number of the descriptor to which the program writes lines.
EVENTS_FD = "WORKTY_EVENTS_FD"
#: Environment variable: number of the descriptor from which the program reads control lines.
CONTROL_FD = "WORKTY_CONTROL_FD"
#: Environment variable: path of the JSON file with what the step gets.
INPUT = "WORKTY_INPUT"
