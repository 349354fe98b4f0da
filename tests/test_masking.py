"""Secrets are taken out of words, wherever they stand, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import HubError
from windlass.masking import mask

HF = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz"
OWN = "sk-lm-AbCd1234:abcdefghij0123456789"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"The token {HF} is refused.", "The token hf_… is refused."),
        (f"Authorization: Bearer {HF}", "Authorization: Bearer hf_…"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic …"),
        (f"windlass: {OWN}, and more", "windlass: sk-lm-AbCd1234:…, and more"),
        ("postgresql://windlass:pass@db/windlass", "postgresql://…@db/windlass"),
        ("http://user:pa%20ss@proxy:3128 refused", "http://…@proxy:3128 refused"),
        ("https://cdn/f?X-Amz-Signature=0a1b&x-id=GetObject", "https://cdn/f?X-Amz-Signature=…&x-id=GetObject"),
        ("https://cdn/f?Policy=ab&Signature=cd&Key-Pair-Id=ef", "https://cdn/f?Policy=…&Signature=…&Key-Pair-Id=…"),
        ("https://cdn/f?X-Amz-Credential=AKIA%2F2026", "https://cdn/f?X-Amz-Credential=…"),
        ("'https://hub/x?token=abc'", "'https://hub/x?token=…'"),
        ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_…"),
    ],
)
def test_secrets_are_not_told(text: str, masked: str) -> None:
    """What is around them is."""
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "qwen/qwen3-4b-2507@q4_k_m",
        "https://huggingface.co/acme/Thing-GGUF/resolve/main/Thing-Q4_K_M.gguf?download=true",
        "The basic model is not here.",
        "hf.co/acme/thing, hf_xet",
        "https://lmstudio.ai/models/qwen/qwen3-4b-2507@8bit",
        "an@example.org, then //comment",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Names, links, and words that only begin like one."""
    assert mask(text) == text


@given(st.text())
def test_masking_again_changes_nothing(text: str) -> None:
    """So it does no harm that words are masked where they are made and where they are shown."""
    assert mask(mask(text)) == mask(text)


@given(st.text(), st.text())
def test_a_token_is_masked_wherever_it_stands(before: str, after: str) -> None:
    """Whatever is around it, as long as it stands by itself."""
    assert HF not in mask(f"{before} {HF} {after}")
    assert OWN.partition(":")[2] not in mask(f"{before} {OWN} {after}")


def test_errors_tell_no_secret() -> None:
    """Neither in what happened nor in what to do: every error of the tree is made the same way."""
    error = HubError(f"The hub said: {HF}", hint=f"Try another one than {HF}.")
    assert HF not in f"{error} {error.message} {error.hint} {error!r} {error.args}"
