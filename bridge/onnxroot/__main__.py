"""Start the command: ``onnxroot``, or ``python -m onnxroot``."""

import os


def main() -> None:
    """Run the command; from here on a Ctrl-C ends it without a traceback.

    What takes long to import is imported when it can hear one.
    """
    try:
        from onnxroot import _signals  # noqa: PLC0415

        _signals.end_at_once()
    except KeyboardInterrupt:
        os._exit(130)
    from onnxroot import cli  # noqa: PLC0415

    cli.main(prog_name="onnxroot")


if __name__ == "__main__":
    main()
