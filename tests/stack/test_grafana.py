"""The data sources and the dashboard of Grafana."""

import json
import re
from typing import Any

from gateway.config.settings import Settings
from tests.support.stack.files import DASHBOARD, DEPLOY, panels, services, yaml


def sources() -> list[dict[str, Any]]:
    folder = DEPLOY / "grafana" / "provisioning" / "datasources"
    found: list[dict[str, Any]] = yaml(folder / "relay.yaml")["datasources"]
    return found


def test_data_sources_have_the_uids_that_links_name() -> None:
    """They point to their services, and exemplars lead to Tempo."""
    assert {(each["uid"], each["url"]) for each in sources()} == {
        ("prometheus", "http://prometheus:9090"),
        ("tempo", "http://tempo:3200"),
    }
    assert Settings().tempo_datasource_uid == "tempo"
    (exemplars,) = sources()[0]["jsonData"]["exemplarTraceIdDestinations"]
    assert (exemplars["name"], exemplars["datasourceUid"]) == ("trace_id", "tempo")


def test_the_dashboard_is_where_grafana_looks() -> None:
    """The folder of its provider is mounted, and the home page is the dashboard."""
    folder = DEPLOY / "grafana" / "provisioning" / "dashboards"
    (provider,) = yaml(folder / "relay.yaml")["providers"]
    path = provider["options"]["path"]
    assert f"./deploy/grafana/dashboards:{path}:ro" in services()["grafana"]["volumes"]
    home = services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{path}/{DASHBOARD.name}"


def test_panels_lie_beside_each_other() -> None:
    """They do not overlap on the grid of 24 columns, and each has a description."""
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x + at["x"], y + at["y"]) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["type"] == "row" or panel["description"]
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_panels_query_existing_sources() -> None:
    """By uid, in the panel and in each query."""
    uids = {each["uid"] for each in sources()}
    named = set(re.findall(r'"datasource": \{[^}]*"uid": "(\w+)"', json.dumps(panels())))
    assert named == uids
