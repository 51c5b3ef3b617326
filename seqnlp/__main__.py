"""`python -m seqnlp`, for launchers that start modules."""

from seqnlp.cli.main import main

if __name__ == "__main__":
    main()
