"""`python -m beam_distilabel`: the command line."""

from beam_distilabel.cli import main

if __name__ == "__main__":
    main()
