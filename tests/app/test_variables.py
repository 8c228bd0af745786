"""Variables under `FOODSCENE_` that are no settings: the platform's, others', and misspelled ones."""

import pytest

from foodscene.app.settings import Settings, SettingsError, read_settings
from foodscene.app.variables import look


def looked(**environment: str) -> tuple[list[str], list[str]]:
    return look({f"FOODSCENE_{name}": value for name, value in environment.items()}, Settings.model_fields)


@pytest.mark.parametrize(
    "name",
    "API_KEY APIKEYS API_KYES APi_Keyz KEYS KEY PASSWORD TOKEN ADMIN_PASSWORD SECRET_KEY AUTH_TOKEN MAX_UPLOAD RATE "
    "MAXUPLOAD_MB MAX_UPLOADS_MB MAX_PIXELS RATELIMIT LIMIT REQUEST_LIMIT RATE_LIMITS DEADLINE LOAD_MEMORY".split(),
)
def test_a_misspelled_key_or_limit_stops_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said, wrong = looked(**{name: "9"})
    assert (said, len(wrong)) == ([], 1)
    assert f"FOODSCENE_{name} is no setting" in wrong[0]
    monkeypatch.setenv(f"FOODSCENE_{name}", "9")
    with pytest.raises(SettingsError, match=f"FOODSCENE_{name}"):
        read_settings(print)


def test_the_setting_that_is_meant_is_named() -> None:
    assert "FOODSCENE_API_KEYS" in looked(API_KEY="9")[1][0]
    assert "Is FOODSCENE_MAX_UPLOAD_MB meant?" in looked(MAX_UPLOAD="9")[1][0]
    assert "Is FOODSCENE_WORKERS meant?" in looked(WORKER="9")[0][0]


@pytest.mark.parametrize("name", ["WORKER", "COLOUR", "MODEL", "LOGLEVEL", "DEPLOYMENT", "HOSTS", "VERSION"])
def test_other_unknown_variables_are_named_and_passed_over(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"FOODSCENE_{name}", "9")
    said: list[str] = []
    read_settings(said.append)
    assert [line for line in said if f"FOODSCENE_{name} is no setting" in line]


def test_every_setting_is_known_in_any_letters_and_so_are_those_of_other_commands() -> None:
    known = {name.upper(): "1" for name in Settings.model_fields} | dict.fromkeys(Settings.model_fields, "1")
    assert looked(**known, CACHE="/cache", DATA="/data", URL="http://service", KEY="of a client") == ([], [])
    assert looked(COLOUR="", API_KEY="") == ([], []), "an empty variable counts as unset"


def test_what_kubernetes_and_docker_set_for_a_service_of_that_name_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = "10.0.0.1"
    theirs = {
        "SERVICE_HOST": address,
        "SERVICE_PORT": "8000",
        "SERVICE_PORT_HTTP": "8000",
        "PORT": f"tcp://{address}:80",
    }
    for service in ("", "API_KEYS_", "MODELS_", "RATE_LIMIT_"):  # Services foodscene, foodscene-api-keys …
        parts = {"PORT_8000_TCP": f"tcp://{address}:8000", "PORT_8000_TCP_PROTO": "tcp", "PORT_8000_TCP_ADDR": address}
        theirs |= {f"{service}{name}": value for name, value in parts.items()}
        theirs |= {f"{service}SERVICE_HOST": address, f"{service}PORT": f"tcp://{address}:8000"}
    said, wrong = looked(**theirs, NAME="/web/foodscene", ENV_PATH="/bin")
    assert not wrong
    assert len(said) == 1, "the one that has the name of a setting"
    assert "FOODSCENE_PORT=tcp://" in said[0]
    monkeypatch.setenv("FOODSCENE_PORT", "tcp://10.0.0.1:9000")
    assert read_settings(print).port == 8000
    monkeypatch.setenv("FOODSCENE_PORT", "9000")
    assert read_settings(print).port == 9000
    monkeypatch.setenv("FOODSCENE_PORT", "nine")
    with pytest.raises(SettingsError, match="FOODSCENE_PORT"):
        read_settings(print)
