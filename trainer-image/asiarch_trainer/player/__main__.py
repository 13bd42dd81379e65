"""`python -m asiarch_trainer.player`."""

from asiarch_trainer.player import main

if __name__ == "__main__":
    raise SystemExit(main())
