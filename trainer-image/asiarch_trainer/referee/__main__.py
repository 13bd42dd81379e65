"""`python -m asiarch_trainer.referee`."""

from asiarch_trainer.referee import main

if __name__ == "__main__":
    raise SystemExit(main())
