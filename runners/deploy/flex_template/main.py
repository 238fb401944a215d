"""What the launcher of the Flex Template runs: the template's parameters are its arguments."""

import sys

from beam_distilabel.cli import main

if __name__ == "__main__":
    main(["launch", *sys.argv[1:]])
