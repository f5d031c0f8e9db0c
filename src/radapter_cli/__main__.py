"""`python -m radapter_cli` is the command `radapter`."""

from radapter_cli import main

if __name__ == "__main__":
    main()
