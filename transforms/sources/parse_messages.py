"""ParseMessages: rows of the messages of Pub/Sub, Kafka and their like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from beam_distilabel.failures import Failure
from beam_distilabel.row import DRAW, ROW_ID, Row, Unnamed, fingerprint, position_id
from beam_distilabel.step import StepResult
from beam_distilabel.transforms.sources.records import (
    TOO_DEEP,
    is_deep,
    parse_record,
    without_bom,
    without_surrogates,
)
from beam_distilabel.transforms.sources.with_failures import FAILURES, ROWS, RowsAndFailures

_SHOWN = 10_000


class Message(NamedTuple):
    """What is known of a message, wherever it comes from.

    Attributes:
        data: its content.
        row_id: what its row is called; None where it comes with nothing that tells it apart.
        key: its key, if it has one.
        attributes: its attributes or headers.
    """

    data: Any
    row_id: str | None = None
    key: Any = None
    attributes: Mapping[str, Any] = {}


class ParseMessages(RowsAndFailures):
    """One row of each message, whose content is a JSON object in UTF-8.

    A message is what `ReadFromPubSub` gives (bytes, or a `PubsubMessage` by
    `with_attributes=True`), what `ReadFromKafka` gives (a key and a value, or a record with its
    topic, partition and offset by `with_metadata=True`), text, or bytes. Event times stay what they
    are. Row ids come from the message's id, or from its topic, partition and offset; without these
    from the row's content. What can't be parsed is a failure of the kind "read", with the message
    as `raw_output`, see `with_failures`.

    Args:
        key_column: the column that gets the message's key as text, where it has one.
        attributes_column: the column that gets its attributes, or headers, as a dict of texts.
        id_attribute: the attribute that tells messages apart, in place of the service's own id; a
            message that is published twice has one row id then.

    Returns:
        A PCollection of rows. `with_failures()` is the same with two outputs:
        `{"rows": ..., "failures": ...}`.

    Example:
        >>> rows = [(b"k", b'{"instruction": "Say hi."}')] | ParseMessages(key_column="key")
        >>> rows[0]["instruction"], rows[0]["key"]
        ('Say hi.', 'k')
    """

    def __init__(
        self,
        *,
        key_column: str | None = None,
        attributes_column: str | None = None,
        id_attribute: str | None = None,
    ) -> None:
        super().__init__()
        self.key_column = key_column
        self.attributes_column = attributes_column
        self.id_attribute = id_attribute

    def apply_to(self, pcoll: Any) -> StepResult:
        """Rows and failures."""
        parse = _Parse(self.key_column, self.attributes_column, self.id_attribute)
        outputs = pcoll | "Parse" >> beam.ParDo(parse).with_outputs(FAILURES, main=ROWS)
        return StepResult(outputs[ROWS], outputs[FAILURES])


def as_message(value: Any, id_attribute: str | None = None) -> Message:
    """What is known of a message; see `ParseMessages` for what it may be.

    Raises:
        ValueError: it is none of these.

    Example:
        >>> as_message((b"k", b"{}"))
        Message(data=b'{}', row_id=None, key=b'k', attributes={})
    """
    if isinstance(value, (bytes, str)):
        return Message(value)
    if hasattr(value, "data") and hasattr(value, "attributes"):  # PubsubMessage
        attributes = value.attributes or {}
        name = getattr(value, "message_id", None)
        key = getattr(value, "ordering_key", None) or None
        return Message(value.data, _row_id(attributes, id_attribute, name), key, attributes)
    if all(hasattr(value, name) for name in ("topic", "partition", "offset", "value")):  # Kafka
        attributes = {header.key: header.value for header in getattr(value, "headers", None) or ()}
        row_id = _row_id(attributes, id_attribute, None) or position_id(
            _number(f"{value.topic}/{value.partition}"), int(value.offset)
        )
        return Message(value.value, row_id, getattr(value, "key", None), attributes)
    if isinstance(value, tuple) and len(value) == 2:
        return Message(value[1], key=value[0])
    raise ValueError(
        f"a message is bytes, text, (key, value), a PubsubMessage or a Kafka record, and not "
        f"{type(value).__name__}"
    )


def message_row(message: Message) -> Row:
    """The row in a message's content, without an id.

    Raises:
        ValueError: it is no JSON object in UTF-8.

    Example:
        >>> message_row(Message(b'{"a": 1}'))
        {'a': 1}
    """
    data = message.data
    if data is None:
        raise ValueError("the message has no content")
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    if not isinstance(data, bytes):
        raise ValueError(f"the message's content is {type(data).__name__}, not bytes")
    row = parse_record(without_bom(data))
    if is_deep(row):
        raise ValueError(TOO_DEEP)
    for name in (ROW_ID, DRAW):  # they are another pipeline's
        row.pop(name, None)
    return row


def _row_id(attributes: Mapping[str, Any], id_attribute: str | None, known: Any) -> str | None:
    name = attributes.get(id_attribute) if id_attribute is not None else None
    name = known if name is None else name
    return None if name is None else position_id(_number(str(name)), 0)


def _number(name: str) -> int:
    return int(fingerprint(name), 16)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return str(without_surrogates(text))


class _Parse(beam.DoFn):
    def __init__(
        self, key_column: str | None, attributes_column: str | None, id_attribute: str | None
    ) -> None:
        self._key_column = key_column
        self._attributes_column = attributes_column
        self._id_attribute = id_attribute

    def start_bundle(self) -> None:
        self._unnamed = Unnamed()

    def process(self, value: Any) -> Iterator[Any]:
        message = Message(value)
        try:
            message = as_message(value, self._id_attribute)
            row = message_row(message)
        except ValueError as error:
            shown = message.data if isinstance(message.data, (bytes, str)) else repr(message.data)
            named: Row = {} if message.row_id is None else {ROW_ID: message.row_id}
            yield TaggedOutput(
                FAILURES,
                Failure(
                    "ParseMessages", "read", str(error), named, raw_output=_text(shown[:_SHOWN])
                ),
            )
            return
        if self._key_column is not None:
            row[self._key_column] = _text(message.key)
        if self._attributes_column is not None:
            row[self._attributes_column] = {
                str(name): _text(text) for name, text in message.attributes.items()
            }
        if message.row_id is None:
            yield self._unnamed.named(row)
        else:
            yield {**row, ROW_ID: message.row_id}


__all__ = ["Message", "ParseMessages", "as_message", "message_row"]
