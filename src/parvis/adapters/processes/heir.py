"""Starting the program that is to take our place."""

import subprocess
import sys


def start_heir(option: str) -> None:
    """Run the command that runs now once more, as it is installed by now, with one more option if it has it not.

    It is no child to watch: it lives on when we have gone, and says by itself how it fares.
    """
    command = [*sys.orig_argv, *([] if option in sys.orig_argv else [option])]
    subprocess.Popen(command, start_new_session=True)
