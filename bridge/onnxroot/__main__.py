"""Run the command: ``python -m onnxroot``."""

from onnxroot.cli import main

if __name__ == "__main__":
    main(prog_name="onnxroot")
