"""Arrays that grow, and the lock of their readers."""

import threading
import time

import numpy as np

from retrieval.search.arrays import GrowableArray, ReadWriteLock


def test_growing() -> None:
    array = GrowableArray(np.int64, [1, 2])
    assert array.values.tolist() == [1, 2]
    for number in range(3, 100):
        array.extend(np.arange(number, number + 1))
    array.extend(np.arange(0))
    array.extend(np.arange(100, 200))
    assert array.values.tolist() == list(range(1, 200))
    assert array.values.dtype == np.int64


def test_growing_seldom_copies() -> None:
    array = GrowableArray(np.float32)
    places: set[int] = set()
    for _ in range(10_000):
        array.extend(np.ones(1))
        places.add(array.values.ctypes.data)
    assert len(places) < 40


def test_many_read_and_one_writes() -> None:
    lock, inside, guard = ReadWriteLock(), {"readers": 0, "writers": 0}, threading.Lock()
    seen: list[tuple[int, int]] = []

    def count(name: str, step: int) -> None:
        with guard:
            inside[name] += step
            seen.append((inside["readers"], inside["writers"]))

    def read() -> None:
        for _ in range(20):
            with lock.read():
                count("readers", 1)
                time.sleep(0.0005)
                count("readers", -1)

    def write() -> None:
        for _ in range(10):
            with lock.write():
                count("writers", 1)
                time.sleep(0.0005)
                count("writers", -1)

    threads = [threading.Thread(target=work) for work in (read, read, read, write, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(writers == 0 or (writers, readers) == (1, 0) for readers, writers in seen)
    assert any(readers > 1 for readers, _ in seen)


def test_a_writer_is_not_kept_waiting_by_later_readers() -> None:
    lock = ReadWriteLock()
    done: list[str] = []

    def write() -> None:
        with lock.write():
            done.append("write")

    def read() -> None:
        with lock.read():
            done.append("read")

    with lock.read():
        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(0.05)
        reader = threading.Thread(target=read)
        reader.start()
        time.sleep(0.05)
        assert done == []
    writer.join()
    reader.join()
    assert done == ["write", "read"]
