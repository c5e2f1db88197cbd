"""The page of utterances: search, slices, newest first, page by page."""

from dataclasses import fields
from typing import Any, Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.routing import Route

from voxloop_cloud.console.page import Ask, number, page
from voxloop_cloud.records.queries import MOST_COUNTED, SLICES, Place, UtteranceFilter, find, makeup
from voxloop_proto.errors import ConfigError

ROWS: Final = 50
MOST_VALUES: Final = 8
_SPANS_S: Final = {"hour": 3_600.0, "day": 86_400.0, "week": 604_800.0, "month": 2_592_000.0}
_TEXTS: Final = ("text", "device_id", "tag", *SLICES)
MOST_TEXT_CHARACTERS: Final = 200
_FLAGS: Final = ("is_null", "is_redone")
FIELDS: Final = (*_TEXTS, *_FLAGS, "least_confidence", "most_confidence", "span")


def read_filter(query: QueryParams, now_s: float) -> UtteranceFilter:
    """What the address asks for. Raises ConfigError for a value that cannot be."""
    values: dict[str, Any] = {name: query[name] for name in _TEXTS if query.get(name)}
    for name, value in values.items():
        if len(value) > MOST_TEXT_CHARACTERS or "\x00" in value:
            raise ConfigError(f"{name} of {len(value)} characters; allowed are {MOST_TEXT_CHARACTERS}, without NUL")
    values |= {name: True for name in _FLAGS if query.get(name)}
    for name in ("least_confidence", "most_confidence"):
        values[name] = number(query.get(name), name, least=0.0, most=1.0)
    span = query.get("span", "")
    if span:
        if span not in _SPANS_S:
            raise ConfigError(f"span = {span[:20]!r}; allowed are {', '.join(_SPANS_S)}")
        values["since_s"] = now_s - _SPANS_S[span]
    return UtteranceFilter(**values)


def _said(query: QueryParams) -> dict[str, str]:
    return {name: query[name] for name in FIELDS if query.get(name)}


def _place(query: QueryParams) -> Place | None:
    after = query.get("after")
    if not after:
        return None
    arrived_s, _, found = after.partition("_")
    try:
        return Place(float(arrived_s), int(found))
    except ValueError:
        raise ConfigError(f"after = {after[:40]!r}; follow the link of the page before") from None


def _list(ask: Ask) -> Response:
    wanted = read_filter(ask.query, ask.sources.now_s())
    found = find(ask.sources.engine, wanted, _place(ask.query), ROWS)
    said = _said(ask.query)
    more = urlencode(said | {"after": f"{found.next.arrived_s!r}_{found.next.id}"}) if found.next else None
    is_part = ask.headers.get("hx-target", "").startswith("more")
    every = {name: said.get(name, "") for name in FIELDS}
    template = "utterance_rows.html" if is_part else "utterances.html"
    return ask.show(
        template,
        utterances=found.utterances,
        more=more,
        said=every,
        address=urlencode(said),
        spans=tuple(_SPANS_S),
        is_filtered=bool(said),
        chips=[(name, value, urlencode({k: v for k, v in said.items() if k != name})) for name, value in said.items()],
    )


def _facets(ask: Ask) -> Response:
    """What the utterances found are made of, by slice; each value is a link that narrows the search to it."""
    found, said = makeup(ask.sources.engine, read_filter(ask.query, ask.sources.now_s())), _said(ask.query)
    facets = [
        (
            name,
            [(value, number, urlencode(said | {name: value})) for value, number in numbers[:MOST_VALUES]],
            len(numbers) - MOST_VALUES,
        )
        for name, numbers in found.numbers.items()
        if numbers
    ]
    return ask.show(
        "facets.html",
        facets=facets,
        total=found.counted,
        is_part=found.counted == MOST_COUNTED,
        said={name: said.get(name, "") for name in FIELDS},
    )


assert set(FIELDS) - {"span"} <= {each.name for each in fields(UtteranceFilter)}
ROUTES: Final[tuple[Route, ...]] = (page("/", _list), page("/utterances", _list), page("/utterances/facets", _facets))
