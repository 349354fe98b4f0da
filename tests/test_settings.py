"""Settings: which source wins, what a value may look like, and where LM Studio keeps its models."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import InvalidRequest
from windlass.settings import TABLE, Settings, load, parse_size

# setting → its variables, the most specific first; then four different values, as text, and the value each becomes.
SOURCES: list[tuple[str, tuple[str, ...], tuple[str, ...], tuple[Any, ...]]] = [
    ("host", ("WINDLASS_HOST", "LMS_SERVER_HOST"), ("::1", "10.0.0.1", "10.0.0.2"), ("::1", "10.0.0.1", "10.0.0.2")),
    ("allow_host", ("WINDLASS_ALLOW_HOST",), ("a.lan", "b  C.example", "d"), (("a.lan",), ("b", "c.example"), ("d",))),
    ("port", ("WINDLASS_PORT",), ("0", "8080", "65535"), (0, 8080, 65535)),
    (
        "hf_endpoint",
        ("WINDLASS_HF_ENDPOINT", "HF_ENDPOINT"),
        ("https://a.test/", "http://b.test", "https://c.test/hf/"),
        ("https://a.test", "http://b.test", "https://c.test/hf"),
    ),
    ("catalog_url", ("WINDLASS_CATALOG_URL",), ("https://a.test/", "/cat", "/c"), ("https://a.test", "/cat", "/c")),
    ("url", ("WINDLASS_URL",), ("http://a.test:1/", "http://b.test", "http://c.test"),
     ("http://a.test:1", "http://b.test", "http://c.test")),
    ("max_jobs", ("WINDLASS_MAX_JOBS",), ("1", "2", "99"), (1, 2, 99)),
    ("connections", ("WINDLASS_CONNECTIONS",), ("1", "2", "16"), (1, 2, 16)),
    ("limit_rate", ("WINDLASS_LIMIT_RATE",), ("20M", "1.5G", "5"), (20_000_000, 1_500_000_000, 5)),
    ("min_free", ("WINDLASS_MIN_FREE",), ("0", "2G", "512KiB"), (0, 2_000_000_000, 512 * 1024)),
    ("database_url", ("WINDLASS_DATABASE_URL",), ("sqlite:///a", "sqlite:///b", "sqlite:///c"),
     ("sqlite:///a", "sqlite:///b", "sqlite:///c")),
    ("webhooks", ("WINDLASS_WEBHOOKS",), ("http://a", "http://b  https://c/d", "http://e"),
     (("http://a",), ("http://b", "https://c/d"), ("http://e",))),
    ("more_models_dirs", ("WINDLASS_MORE_MODELS_DIRS",), ("/a", "/b:/c", "/d"),
     ((Path("/a"),), (Path("/b"), Path("/c")), (Path("/d"),))),
    ("extra_dirs", ("WINDLASS_EXTRA_DIRS",), ("/a", "/b:/c", "/d"),
     ((Path("/a"),), (Path("/b"), Path("/c")), (Path("/d"),))),
    ("hard_links", ("WINDLASS_HARD_LINKS",), ("no", "yes", "no"), (False, True, False)),
    ("log_format", ("WINDLASS_LOG_FORMAT",), ("json", "text", "json"), ("json", "text", "json")),
    ("models_dir", ("WINDLASS_MODELS_DIR",), ("/a", "/b", "/c"), (Path("/a"), Path("/b"), Path("/c"))),
    ("lmstudio_home", ("WINDLASS_LMSTUDIO_HOME",), ("/a", "/b", "/c"), (Path("/a"), Path("/b"), Path("/c"))),
]  # fmt: skip
# These are secrets, or belong to other programs too: not in config.toml.
OUTSIDE: list[tuple[str, tuple[str, ...]]] = [
    ("hf_token", ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")),
    ("api_token", ("LM_API_TOKEN",)),
    ("ca_file", ("SSL_CERT_FILE",)),
    ("webhook_secret", ("WINDLASS_WEBHOOK_SECRET",)),
]
DEFAULTS = {
    "host": "127.0.0.1",
    "port": 1234,
    "allow_host": (),
    "hf_endpoint": "https://huggingface.co",
    "catalog_url": "https://lmstudio.ai",
    "url": "http://127.0.0.1:1234",
    "max_jobs": 3,
    "connections": 8,
    "limit_rate": None,
    "min_free": 1_000_000_000,
    "hf_token": None,
    "api_token": None,
    "ca_file": None,
    "webhooks": (),
    "extra_dirs": (),
    "more_models_dirs": (),
    "hard_links": True,
    "webhook_secret": None,
    "log_format": "text",
}


class User:
    """A person's home folder and environment, both empty to begin with."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ: dict[str, str] = {}

    def load(self, **flags: Any) -> Settings:
        return load(flags, self.environ, self.home)

    def config(self, text: str) -> Path:
        return self.file(".windlass/config.toml", text)

    def file(self, path: str, text: str) -> Path:
        place = self.home / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        return place


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_with_nothing_said_the_defaults_hold(user: User) -> None:
    """The contract's defaults, all below the user's home, and each says that it is one."""
    settings = user.load()
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert settings.home == user.home / ".windlass"
    assert settings.lmstudio_home == user.home / ".lmstudio"
    assert settings.models_dir == user.home / ".lmstudio/models"
    assert settings.database_url == f"sqlite:///{user.home}/.windlass/windlass.db"
    assert set(settings.origin.values()) == {"default"}


@pytest.mark.parametrize(
    ("name", "variables", "texts", "values"), SOURCES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_flag_beats_environment_beats_config(
    user: User, name: str, variables: tuple[str, ...], texts: tuple[str, ...], values: tuple[Any, ...]
) -> None:
    """Each setting is read from each source, the strongest that speaks wins, and `origin` names it."""
    path = user.config(f"{name} = '{texts[0]}'")
    settings = user.load()
    assert (getattr(settings, name), settings.origin[name]) == (values[0], str(path))
    for variable in reversed(variables):  # the most specific last: it must win over those before
        user.environ[variable] = texts[1]
        settings = user.load()
        assert (getattr(settings, name), settings.origin[name]) == (values[1], variable)
        user.environ[variable] = texts[2]
    user.environ[variables[0]] = texts[1]
    settings = user.load(**{name: texts[2]})
    assert (getattr(settings, name), settings.origin[name]) == (values[2], "flag")


@pytest.mark.parametrize(("name", "variables"), OUTSIDE)
def test_secrets_come_from_the_environment(user: User, name: str, variables: tuple[str, ...]) -> None:
    """The most specific variable wins; a config.toml that holds one is refused, for others may read that file."""
    for variable in reversed(variables):
        user.environ[variable] = variable.lower()
        settings = user.load()
        assert (getattr(settings, name), settings.origin[name]) == (variable.lower(), variable)
    user.config(f"{name} = 'x'")
    with pytest.raises(InvalidRequest, match=rf"config\.toml sets {name}"):
        user.load()


def test_every_setting_is_in_one_of_these_tables() -> None:
    """A setting that is added is tested, or this fails."""
    tested = {name for name, *_ in SOURCES} | {name for name, _ in OUTSIDE} | {"home", "origin"}
    assert {field.name for field in fields(Settings)} == tested


def test_home_moves_the_state_and_the_config(user: User) -> None:
    """WINDLASS_HOME, or the flag before it, says where config.toml is read and the database stands."""
    elsewhere = user.home / "elsewhere"
    user.config("max_jobs = 7")
    user.file("elsewhere/config.toml", "max_jobs = 5")
    user.environ["WINDLASS_HOME"] = str(elsewhere)
    settings = user.load()
    assert (settings.home, settings.origin["home"], settings.max_jobs) == (elsewhere, "WINDLASS_HOME", 5)
    assert settings.database_url == f"sqlite:///{elsewhere}/windlass.db"
    assert user.load(home=user.home / ".windlass").max_jobs == 7


def test_config_may_hold_numbers(user: User) -> None:
    """TOML's own numbers do as well as texts."""
    user.config("port = 8080\nmin_free = 5\nlimit_rate = 100")
    settings = user.load()
    assert (settings.port, settings.min_free, settings.limit_rate) == (8080, 5, 100)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_says_nothing(user: User, text: str) -> None:
    """As scripts leave it behind: `HF_ENDPOINT= windlass …`."""
    user.environ |= {"WINDLASS_HF_ENDPOINT": text, "HF_ENDPOINT": "https://mirror.test", "WINDLASS_PORT": text}
    settings = user.load(port=None)
    assert settings.hf_endpoint == "https://mirror.test"
    assert (settings.port, settings.origin["port"]) == (1234, "default")


@pytest.mark.parametrize("text", ["0", "none", "None", "0B", "0.0M"])
def test_no_rate_is_no_limit(user: User, text: str) -> None:
    """Zero does not mean that nothing may come."""
    assert user.load(limit_rate=text).limit_rate is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "65536"),
        ("port", "-1"),
        ("port", "http"),
        ("max_jobs", "0"),
        ("max_jobs", "1.5"),
        ("connections", "-3"),
        ("limit_rate", "20 apples"),
        ("min_free", "-1"),
        ("min_free", "9" * 5000),
        ("hf_endpoint", "huggingface.co"),
        ("hf_endpoint", "ftp://huggingface.co"),
        ("hf_endpoint", "http://mirror.test:abc"),
        ("hf_endpoint", "http://mirror.test:"),
        ("url", "127.0.0.1:1234"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_place(user: User, name: str, text: str) -> None:
    """Whoever wrote it learns which setting, where it was written, and what was written."""
    path = user.config(f"{name} = '{text}'")
    with pytest.raises(InvalidRequest) as caught:
        user.load()
    assert str(path) in caught.value.message
    user.config("")
    variable = next(variables[0] for other, variables, *_ in SOURCES if other == name)
    user.environ[variable] = text
    with pytest.raises(InvalidRequest, match=variable) as caught:
        user.load()
    assert repr(text) in caught.value.message
    with pytest.raises(InvalidRequest, match=f"--{name.replace('_', '-')}: "):
        user.load(**{name: text})


@pytest.mark.parametrize("value", ["true", "[1]", "{a = 1}", "2026-01-01"])
@pytest.mark.parametrize("name", ["host", "max_jobs", "models_dir", "limit_rate"])
def test_config_takes_text_and_numbers_only(user: User, name: str, value: str) -> None:
    """`max_jobs = true` is not one job, and a list is no path."""
    user.config(f"{name} = {value}")
    with pytest.raises(InvalidRequest, match=f"does not fit {name}"):
        user.load()


def test_an_unknown_key_is_refused_and_the_known_ones_named(user: User) -> None:
    """A slip of the pen must not pass in silence."""
    user.config("max_job = 2\nhome = '/x'")
    with pytest.raises(InvalidRequest) as caught:
        user.load()
    assert "home, max_job" in caught.value.message
    assert caught.value.hint
    assert "max_jobs" in caught.value.hint
    assert "hf_token" not in caught.value.hint


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2"])
def test_a_config_that_cannot_be_read_is_an_error(user: User, content: bytes) -> None:
    """It names the file; running with defaults instead could fill the wrong disk."""
    user.config("").write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"config\.toml cannot be read"):
        user.load()


def test_a_config_that_is_a_folder_is_an_error(user: User) -> None:
    """What the operating system refuses is told, too."""
    (user.home / ".windlass/config.toml").mkdir(parents=True)
    with pytest.raises(InvalidRequest, match=r"config\.toml cannot be read"):
        user.load()


def test_secrets_are_not_shown(user: User) -> None:
    """Neither in `repr`, which ends up in logs, nor by way of `origin`."""
    user.environ |= {
        "HF_TOKEN": "hf_S3CR3T",
        "LM_API_TOKEN": "sk-lm-S3CR3T",
        "WINDLASS_DATABASE_URL": "postgresql://windlass:S3CR3T@db/windlass",
    }
    settings = user.load()
    assert settings.hf_token == "hf_S3CR3T"
    assert "S3CR3T" not in repr(settings)
    assert "S3CR3T" not in repr(settings.origin)


# LM Studio's own rules


def test_the_old_cache_is_lm_studios_home_if_it_is_there(user: User) -> None:
    """Before 0.3 it was there, and who began then still has it."""
    (user.home / ".cache/lm-studio").mkdir(parents=True)
    assert user.load().lmstudio_home == user.home / ".cache/lm-studio"


def test_the_pointer_file_goes_before_the_old_cache(user: User) -> None:
    """It is how LM Studio itself remembers that it was moved."""
    (user.home / ".cache/lm-studio").mkdir(parents=True)
    user.file(".lmstudio-home-pointer", f"  {user.home}/moved\n")
    assert user.load().lmstudio_home == user.home / "moved"
    assert user.load().models_dir == user.home / "moved/models"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_an_empty_or_unreadable_pointer_counts_as_none(user: User, content: bytes) -> None:
    """What cannot be read does not keep Windlass from running."""
    (user.home / ".lmstudio-home-pointer").write_bytes(content)
    assert user.load().lmstudio_home == user.home / ".lmstudio"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_downloads_folder_of_lm_studio_moves_the_models(user: User, mark: str) -> None:
    """Its settings.json says where it keeps them, unless Windlass was told otherwise; some editors put a mark first."""
    user.file(".lmstudio/settings.json", mark + json.dumps({"downloadsFolder": "/mnt/models"}))
    assert user.load().models_dir == Path("/mnt/models")
    user.environ["WINDLASS_MODELS_DIR"] = "/other"
    assert user.load().models_dir == Path("/other")


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"downloadsFolder": 3}', '{"downloadsFolder": " "}', "{}"])
def test_settings_of_lm_studio_that_say_nothing_are_passed_over(user: User, text: str) -> None:
    """It is another program's file."""
    user.file(".lmstudio/settings.json", text)
    assert user.load().models_dir == user.home / ".lmstudio/models"


def test_paths_are_absolute(user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is expanded, a relative one is taken from here, and a user that is not known leaves no traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert user.load(models_dir="models").models_dir == tmp_path / "models"
    assert user.load(models_dir=Path("models")).models_dir == tmp_path / "models"
    assert user.load(models_dir="~/models").models_dir == Path("/home/somebody/models")
    assert user.load(models_dir="~no-such-user/m").models_dir == tmp_path / "~no-such-user/m"


# Sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("948", 948),
        ("20M", 20_000_000),
        ("20 m", 20_000_000),
        ("1.5G", 1_500_000_000),
        ("512KiB", 524_288),
        ("2Mi", 2_097_152),
        ("1T", 10**12),
        ("20MB/s", 20_000_000),
        (" 3kB ", 3000),
        ("7b", 7),
        ("1.9999", 1),
        ("0.001k", 1),
        (42, 42),
    ],
)
def test_sizes_as_people_write_them(text: str | int, size: int) -> None:
    """Units of 1000, of 1024 with an i, of any case; a fraction of a byte is dropped."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1,5G", "1e9", "0x10", "1.G", ".5G", "20 M B", "NaN", "inf", "5i5"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """And the error says what one looks like."""
    with pytest.raises(ValueError, match="20M"):
        parse_size(text)


@given(st.integers(0, 10**30), st.sampled_from(["", "k", "M", "G", "T"]), st.sampled_from(["", "i"]))
def test_sizes_are_exact(count: int, unit: str, binary: str) -> None:
    """No float stands between the digits and the number, however large."""
    power = ["", "k", "M", "G", "T"].index(unit)
    assert parse_size(f"{count}{unit}{binary}") == count * (1024 if binary else 1000) ** power


@given(st.integers(0, 10**12), st.integers(0, 999))
def test_fractions_are_exact(whole: int, thousandths: int) -> None:
    """Three digits behind the point of a kilobyte are bytes."""
    assert parse_size(f"{whole}.{thousandths:03}k") == whole * 1000 + thousandths


def test_what_is_told_of_a_default_is_the_default() -> None:
    """In words where a number would be hard to read."""
    assert parse_size(TABLE["min_free"].unset.strip("`")) == DEFAULTS["min_free"]
