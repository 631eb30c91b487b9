"""Messages that ask for nothing."""

import pytest

from server.chat.grounding.small_talk import MAX_CHARACTERS, is_small_talk

COURTESIES = """
Hi | Hi there, how are you? | THANKS!!! 🙏🏽 | Thank you so much. Have a nice day! | That's all, thanks | ok | 👍
D’accord, merci ! | TSCHÜSS
Guten Morgen, wie geht’s? | ¡Hola! ¿Qué tal? | obrigado | Ciao, come va? | Dank je wel! | Tack så mycket | Dzięki :) | Привет! Как дела?
Teşekkürler | İyi günler | شكراً جزيلاً | أهلاً وسهلاً | धन्यवाद | cảm ơn bạn | terima kasih | 你好！ | 谢谢你的帮助 | 谢谢你的帮助！再见
ありがとうございます。 | こんにちは、お元気ですか？ | 안녕하세요, 반갑습니다 | ขอบคุณครับ | สวัสดีครับขอบคุณมาก | ❤️
"""
QUESTIONS = """
CEO salary | capital of France | Write me a haiku | Hi, how much leave do I have? | thanksgiving | hithere | goodness | Why? | ? | ... | yes
What does "hello" mean? | Danke für was | 你好吗是什么意思 | 什么是谢谢 | merci de résumer | thanks to whom?
Tell me more | こんにちはの意味 | 42
"""


@pytest.mark.parametrize("message", [part.strip() for line in COURTESIES.strip().splitlines() for part in line.split(" | ")])
def test_courtesies(message: str) -> None:
    assert is_small_talk(message)


@pytest.mark.parametrize("message", ["", " ", *(part.strip() for line in QUESTIONS.strip().splitlines() for part in line.split(" | "))])
def test_everything_else(message: str) -> None:
    assert not is_small_talk(message)


def test_long_messages_are_not_read() -> None:
    assert is_small_talk("hi " * (MAX_CHARACTERS // 3)) and not is_small_talk("hi " * MAX_CHARACTERS)
