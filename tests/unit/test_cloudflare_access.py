"""A token is checked before it is sent, and shows itself nowhere."""

import pytest

from aop.cloudflare import Access, Priority, TokenRejected
from aop.cloudflare.access import TokenKind
from aop.errors import Reason
from cloudflare_api import TOKEN


@pytest.mark.parametrize("written", [f"{TOKEN}\n", f" {TOKEN}", f"{TOKEN}\r\n", f"\t{TOKEN} \n"])
def test_whitespace_around_a_token_is_cut_off(written: str) -> None:
    assert Access.of(written, Priority.ONBOARD).authorization == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "written",
    [
        "two words",
        "two\nlines",
        "two\r\nlines",
        "tök€n",
        "nul\x00",
        "soft\u00adhyphen",
        "Bearer abc",
    ],
)
def test_a_token_that_no_header_can_carry_is_refused_with_its_place_and_without_itself(
    written: str,
) -> None:
    with pytest.raises(TokenRejected) as caught:
        Access.of(written, Priority.ONBOARD, source="Secret edge/cloudflare, key api-token")
    assert caught.value.reason is Reason.TOKEN_REJECTED
    assert "Secret edge/cloudflare, key api-token" in caught.value.message
    assert written not in caught.value.message
    assert caught.value.status is None


@pytest.mark.parametrize("written", ["", "\n", "  "])
def test_an_empty_token_is_refused_as_empty(written: str) -> None:
    with pytest.raises(TokenRejected, match="is empty"):
        Access.of(written, Priority.ONBOARD)


def test_what_is_far_too_long_for_a_token_is_not_sent() -> None:
    """A Secret holds up to a MiB: a kubeconfig in base64, say."""
    with pytest.raises(TokenRejected, match="no Cloudflare API token") as caught:
        Access.of(
            "eyJhcGlWZXJzaW9uIjoi" * 100,
            Priority.ONBOARD,
            source="Secret edge/cloudflare, key api-token",
        )
    assert caught.value.message.startswith(
        "Secret edge/cloudflare, key api-token holds 2000 characters"
    )
    assert "eyJ" not in caught.value.message


def test_neither_repr_nor_str_nor_format_shows_the_token() -> None:
    access = Access.of(TOKEN, Priority.PROTECT, source="Secret a/b")
    for shown in (repr(access), str(access), f"{access}", repr([access]), repr(access.token)):
        assert TOKEN not in shown
    assert repr(access) == "Access(Secret a/b, PROTECT)"


def test_the_same_token_has_the_same_key_at_any_priority_and_from_any_place() -> None:
    one = Access.of(TOKEN, Priority.PROTECT, source="Secret a/b")
    other = Access.of(f"{TOKEN}\n", Priority.RESYNC, source="Secret c/d")
    assert one.key == other.key == one.at(Priority.RESYNC).key
    assert one.key != Access.of("another-token", Priority.PROTECT).key
    assert TOKEN not in one.key


def test_another_priority_keeps_token_and_source() -> None:
    access = Access.of(TOKEN, Priority.PROTECT, source="Secret a/b").at(Priority.RESYNC)
    assert (access.priority, access.source, access.authorization) == (
        Priority.RESYNC,
        "Secret a/b",
        f"Bearer {TOKEN}",
    )


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("cfut_" + "a" * 48, TokenKind.USER),
        ("cfat_" + "a" * 48, TokenKind.ACCOUNT),
        (TOKEN, TokenKind.UNTOLD),
        ("cfut", TokenKind.UNTOLD),
        ("CFAT_" + "a" * 48, TokenKind.UNTOLD),
        ("xcfk_" + "a" * 48, TokenKind.UNTOLD),
    ],
)
def test_the_first_characters_tell_whose_a_token_is(written: str, kind: TokenKind) -> None:
    assert Access.of(written, Priority.ONBOARD).kind is kind


@pytest.mark.parametrize("written", ["cfk_" + "a" * 48, " cfk_abc\n"])
def test_a_global_api_key_is_refused_before_it_is_sent(written: str) -> None:
    with pytest.raises(TokenRejected, match="Create an API token") as caught:
        Access.of(written, Priority.ONBOARD, source="Secret edge/cloudflare, key api-token")
    assert "Secret edge/cloudflare, key api-token" in caught.value.message
    assert written.strip() not in caught.value.message
