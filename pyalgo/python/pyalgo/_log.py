"""Log lines of strategies and of the SDK: the logger `pyalgo` of Python's own `logging`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger


def _logger() -> Logger:
    import logging

    return logging.getLogger("pyalgo")


def debug(message: object, *args: object) -> None:
    """Logs for whoever looks for a fault."""
    _logger().debug(message, *args, stacklevel=2)


def info(message: object, *args: object) -> None:
    """Logs what happened."""
    _logger().info(message, *args, stacklevel=2)


def warn(message: object, *args: object) -> None:
    """Logs what was not expected."""
    _logger().warning(message, *args, stacklevel=2)


def error(message: object, *args: object) -> None:
    """Logs what a human must look at."""
    _logger().error(message, *args, stacklevel=2)
