"""Addresses: what is the file, and what the directory in it."""

import pytest

import onnxroot
from onnxroot._address import Address, is_remote, parse_address

SPLIT = {  # address: (file, directory)
    "m.root": ("m.root", ""),
    "a:b/m.root:dir/model": ("a:b/m.root", "dir/model"),
    "C:/m.root": ("C:/m.root", ""),
    "file:///nowhere/a%20b.root:t": ("/nowhere/a b.root", "t"),
    "root://host//store/m.root": ("root://host//store/m.root", ""),
    "root://host:1094//store/m.root:dir/model": ("root://host:1094//store/m.root", "dir/model"),
    "root://me@host:1094//m.root?authz=a:b": ("root://me@host:1094//m.root?authz=a:b", ""),
    "https://host:8443/m.root:t": ("https://host:8443/m.root", "t"),
    "https://host:8443": ("https://host:8443", ""),
    "https://host:8443/m": ("https://host:8443/m", ""),
    "http://[::1]:8000/m.root:t": ("http://[::1]:8000/m.root", "t"),
    "https://host/m.root:dir/t?x=1:2&y=/": ("https://host/m.root?x=1:2&y=/", "dir/t"),
    "https://host/get?name=m.root&v=1": ("https://host/get?name=m.root&v=1", ""),
    "https://host/get?name=m.root:dir/t": ("https://host/get?name=m.root", "dir/t"),
    "https://host/a.data:t": ("https://host/a.data", "t"),
    "s3://bucket/m.root:t": ("s3://bucket/m.root", "t"),
    "zip://m.root::https://host:80/a.zip": ("zip://m.root::https://host:80/a.zip", ""),
    "simplecache::root://host//m.root:t": ("simplecache::root://host//m.root", "t"),
}


@pytest.mark.parametrize("text", SPLIT)
def test_split_and_join(text: str) -> None:
    address = parse_address(text)
    assert (address.path, address.directory) == SPLIT[text]
    assert is_remote(address.path) == ("://" in text and not text.startswith("file:"))
    if not text.startswith("file:"):
        assert str(address) == text


@pytest.mark.parametrize("text", ["https://host/m.root:a//b", "root://host//m.root:../x"])
def test_directories_that_can_not_be(text: str) -> None:
    with pytest.raises(onnxroot.FormatError, match="can't be a directory"):
        parse_address(text)


def test_a_file_whose_name_looks_like_more_than_that(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnxroot.write(b"", "odd:name.root:t")
    assert parse_address("odd:name.root") == Address("odd:name.root", "")
    with onnxroot.open("odd:name.root") as model:
        assert model.to_bytes() == b""
