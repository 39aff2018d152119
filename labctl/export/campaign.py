"""The runs of a campaign: those whose journals are here, and those that only the document store has."""

from __future__ import annotations

from pathlib import Path

from labctl.errors import ConfigurationError, StoreError
from labctl.journal.reader import first_document
from labctl.runs.listing import list_runs
from labctl.runs.query import RunQuery
from labctl.runs.summary import start_unix_second
from labctl.store.client.store import Store


def runs_of_campaign(store: Store, campaign_uid: str) -> list[str]:
    """The uids of all runs whose start document names this campaign, oldest first.

    The document store, lab-wide or of this data directory, is asked too: other stations may have measured for
    the campaign, and journals may have been moved away.

    Raises:
        ConfigurationError: there is none.
        StoreError: the document store does not answer, so that not all of them can be known.
    """
    found = _in_journals(store.data_directory, campaign_uid)
    if store.has_kept_runs:
        found |= _in_tiled(store, campaign_uid)
    if not found:
        where = str(store.data_directory)
        raise ConfigurationError(where, "campaign", campaign_uid, "no run has this campaign_uid")
    return sorted(found, key=lambda uid: (found[uid], uid))


def _in_journals(data_directory: Path, campaign_uid: str) -> dict[str, float]:
    """Uid and start (seconds since 1970)."""
    found: dict[str, float] = {}
    for run in list_runs(data_directory, query=RunQuery(text=campaign_uid)):
        start = first_document(run.directory)
        if start.get("campaign_uid") == campaign_uid:
            found[run.uid] = start_unix_second(start)
    return found


def _in_tiled(store: Store, campaign_uid: str) -> dict[str, float]:
    import httpx
    from tiled.client.utils import ClientError
    from tiled.queries import Key

    try:
        runs = store.client.search(Key("start.campaign_uid") == campaign_uid)
        return {uid: start_unix_second(run.metadata["start"]) for uid, run in runs.items()}
    except (StoreError, httpx.HTTPError, ClientError) as error:
        text = f"campaign {campaign_uid}: runs that only the document store has cannot be known: {error}"
        raise StoreError(text) from error
