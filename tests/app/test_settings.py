from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner
from uvicorn.middleware.proxy_headers import _TrustedHosts

from foodscene.app.settings import Settings, SettingsError, read_settings
from foodscene.cli import program


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://page.example", "https://page.example"),
        ("https://page.example/", "https://page.example"),
        ("HTTPS://Page.Example:443/", "https://page.example"),
        ("http://page.example:80", "http://page.example"),
        ("http://page.example:8080/", "http://page.example:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("*", "*"),
        ("null", "null"),
    ],
)
def test_origins_are_spelled_as_browsers_send_them(written: str, meant: str) -> None:
    assert Settings(cors_origins=f"{written}, https://two.example/").cors_origins == (meant, "https://two.example")


@pytest.mark.parametrize("written", ["page.example", "localhost:3000", "https://page.example/app", "https://", "*.a.b"])
def test_what_is_no_origin_is_named(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOODSCENE_CORS_ORIGINS", written)
    with pytest.raises(SettingsError, match=r"FOODSCENE_CORS_ORIGINS: .* is no origin"):
        read_settings(print)


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("127.0.0.1", ["127.0.0.1", "::ffff:127.0.0.1"]),
        ("10.0.0.0/8, ::1", ["10.1.2.3", "::ffff:10.1.2.3", "::1"]),
        ("[::1],[fd00::]/8", ["::1"]),
        ("fd00::/8", ["fd00::5"]),
        ("*", ["10.1.2.3", "::1"]),
    ],
)
def test_proxies_are_known_by_every_spelling_of_their_address(written: str, known: list[str]) -> None:
    trusted = _TrustedHosts(Settings(trusted_proxies=written).trusted_proxies)
    assert [address for address in known if address not in trusted] == []
    assert ("192.0.2.1" in trusted) is (written == "*")


@pytest.mark.parametrize("written", ["/food", "food", "/food/", " food "])
def test_a_prefix_is_spelled_as_paths_begin(written: str) -> None:
    assert Settings(root_path=written).root_path == "/food"
    assert Settings(root_path="/").root_path == ""
    assert Settings(root_path="/a/b-c").root_path == "/a/b-c"


@pytest.mark.parametrize("written", ["https://page.example/food", "/food?x", "/a//b", "/f%C3%B6od", '/a"b'])
def test_what_is_no_prefix_is_refused(written: str) -> None:
    with pytest.raises(ValidationError, match="give a path alone"):
        Settings(root_path=written)


@pytest.mark.parametrize("written", ["warning", "WARNING", " Warn "])
def test_words_may_be_in_capitals(written: str) -> None:
    assert Settings(log_level=written).log_level == "warning"
    assert Settings(engine="ONNX", scheduling="Batch").engine == "onnx"


def test_lists_have_commas_or_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ("a" * 64, "b" * 64)
    for written in (",".join(keys), f" {keys[0]} , {keys[1]}, ", f'["{keys[0]}", "{keys[1]}"]'):
        monkeypatch.setenv("FOODSCENE_API_KEYS", written)
        assert Settings().api_keys == keys
    assert Settings(cors_origins='["https://a.example", "https://b.example"]').cors_origins[1] == "https://b.example"
    assert Settings(trusted_proxies='["::1"]').trusted_proxies == Settings(trusted_proxies="[::1]").trusted_proxies


@pytest.mark.parametrize("written", [" ", ",", " , ,"])
def test_keys_that_are_none_do_not_open_the_service(written: str) -> None:
    with pytest.raises(ValidationError, match="it holds no key"):
        Settings(api_keys=written)


def test_a_list_in_json_of_anything_else_is_refused() -> None:
    with pytest.raises(ValidationError, match="texts alone"):
        Settings(cors_origins="[1, 2]")


def test_the_service_listens_on_this_machine_alone_unless_told_otherwise(
    toy_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[str] = []
    monkeypatch.setattr("foodscene.app.server.run.run", lambda settings, _: served.append(settings.host))
    monkeypatch.delenv("FOODSCENE_HOST", raising=False)
    monkeypatch.setenv("FOODSCENE_MODELS", str(toy_bundle))
    for options in ([], ["--host", "0.0.0.0"]):
        assert CliRunner().invoke(program, ["serve", "--port", "0", *options]).exit_code == 0
    assert served == ["127.0.0.1", "0.0.0.0"]
