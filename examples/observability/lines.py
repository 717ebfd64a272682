"""A log in lines of JSON, for programs to read."""

import json
import logging

FIELDS = ("sid", "namespace", "event")  # attributes of the records that are about a client


class JsonLines(logging.Formatter):
    """One line for each record: who, where and what."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
