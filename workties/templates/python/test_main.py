"""Tests of skeleton without a server. Run them: python -m unittest discover skeleton"""

import unittest
from pathlib import Path

from workties.testing import run

FOLDER = Path(__file__).parent


class SkeletonTest(unittest.TestCase):
    def test_all_parts_are_done(self):
        result = run(FOLDER, properties={"parts": 2})
        self.assertEqual(result.states, ["preparing", "working", "finishing"])
        self.assertEqual(result.output, {"done": 2})

    def test_after_a_pause_it_goes_on_where_it_was(self):
        paused = run(FOLDER, pause_in="working")
        self.assertTrue(paused.paused)
        rest = run(FOLDER, checkpoint=paused.checkpoint)
        self.assertEqual(rest.states, ["working", "finishing"])
        self.assertEqual(rest.output, {"done": 3})


if __name__ == "__main__":
    unittest.main()
