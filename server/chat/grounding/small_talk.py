"""Recognising small talk ("Hi there, how are you?"): greetings, thanks, goodbyes, approval, which no document answers. A message is small
talk if it consists of whole phrases from this list: one line per kind and language."""

import re
import unicodedata

from retrieval.analysis.words import ACCENT, UNSPACED

MAX_CHARACTERS = 200
PHRASES = """
hi, hi there, hello, hello there, hello again, hi again, hi all, hello everyone, hey, hey there, howdy, greetings, welcome back
good morning, good afternoon, good evening, good day, good night, nice to meet you, pleased to meet you
how are you, how are you doing, how are you today, how are you doing today, how do you do, hows it going, how is it going, whats up
i am fine, im fine, and you, fine thanks
thanks, thank you, thx, ty, many thanks, thanks a lot, thanks so much, thank you so much, thank you very much, thanks very much, cheers
thanks again, thank you again, thanks a million, thanks for your help, thanks for the help, thank you for your help
thank you for the help, thank you so much for your help, thanks for everything, much appreciated, i appreciate it
bye, bye bye, goodbye, good bye, see you, see you later, see you soon, see you tomorrow, take care, have a nice day, have a good day
have a great day, you too, until next time
ok, okay, great, perfect, excellent, awesome, wonderful, fantastic, nice, cool, good, very good, very nice, well done, good job, great job
nice work, good work, all right, alright, sounds good, got it, i see, that helps, that helped, that was helpful, very helpful
you are welcome, youre welcome, no problem, sorry, please, that is all, thats all, that would be all

hallo, hallo zusammen, guten morgen, guten tag, guten abend, gute nacht, servus, moin, moin moin, grüß gott, grüezi, hallöchen
wie geht es dir, wie gehts, wie geht es ihnen, wie gehts dir, mir geht es gut, und dir
danke, danke schön, dankeschön, vielen dank, herzlichen dank, besten dank, danke sehr, tausend dank, danke dir, danke ihnen, ich danke dir
danke für die hilfe, danke für deine hilfe, danke für ihre hilfe, vielen dank für die hilfe, vielen dank für ihre hilfe
vielen dank für deine hilfe, tschüss, tschüs, tschau, auf wiedersehen, bis bald, bis später, bis morgen, schönen tag
schönen tag noch, einen schönen tag noch, super, prima, toll, sehr gut, gut gemacht, wunderbar, ausgezeichnet, alles klar, in ordnung, bitte

bonjour, bonsoir, salut, coucou, bonne nuit, comment allez vous, comment vas tu, comment ça va, ça va, enchanté
merci, merci beaucoup, merci bien, un grand merci, mille mercis, merci à vous, merci à toi, merci pour votre aide, merci pour ton aide
merci beaucoup pour votre aide, au revoir, à bientôt, à plus tard, à demain, bonne journée, bonne soirée
parfait, très bien, super merci, génial, excellent, bravo, bien joué, d'accord, de rien

hola, buenos días, buenas tardes, buenas noches, buenas, qué tal, cómo estás, cómo está, cómo están, encantado
gracias, muchas gracias, mil gracias, muchísimas gracias, gracias por tu ayuda, gracias por su ayuda, gracias por la ayuda
muchas gracias por tu ayuda, muchas gracias por su ayuda, adiós, hasta luego, hasta mañana, hasta pronto, chao, nos vemos
que tengas un buen día, perfecto, muy bien, genial, excelente, vale, de acuerdo, buen trabajo, de nada

olá, oi, bom dia, boa tarde, boa noite, tudo bem, como vai, como vai você, como está, como você está, e aí
obrigado, obrigada, muito obrigado, muito obrigada, obrigado pela ajuda, obrigada pela ajuda, muito obrigado pela ajuda
muito obrigado pela sua ajuda, valeu, tchau, até logo, até amanhã, até mais, tenha um bom dia, perfeito, ótimo, muito bem, legal, de nada

ciao, buongiorno, buonasera, buonanotte, salve, come stai, come sta, come va, piacere
grazie, grazie mille, molte grazie, tante grazie, grazie per l'aiuto, grazie per il tuo aiuto, grazie del tuo aiuto, ti ringrazio
arrivederci, a presto, a dopo, a domani, buona giornata, buona serata, perfetto, benissimo, molto bene, ottimo, va bene, prego

hoi, goedemorgen, goedemiddag, goedenavond, goedendag, goedenacht, hoe gaat het, hoe gaat het met je, hoe gaat het met u
dank je, dank je wel, dankjewel, dank u, dank u wel, bedankt, hartelijk dank, heel erg bedankt, bedankt voor je hulp, bedankt voor de hulp
tot ziens, tot straks, tot morgen, doei, dag, fijne dag, fijne dag nog, prima, uitstekend, heel goed, goed gedaan, graag gedaan

hej, hejsan, god morgon, god kväll, god natt, hur mår du, hur är läget, tack, tack så mycket, tusen tack, tack för hjälpen
hej då, vi ses, ha en bra dag, perfekt, jättebra, mycket bra, bra jobbat

cześć, dzień dobry, dobry wieczór, dobranoc, witam, witaj, hejka, jak się masz, co słychać, jak leci
dziękuję, dziękuję bardzo, bardzo dziękuję, dzięki, wielkie dzięki, dziękuję za pomoc, dzięki za pomoc
do widzenia, na razie, do zobaczenia, pa, miłego dnia, świetnie, super, doskonale, bardzo dobrze, dobra robota

привет, здравствуйте, здравствуй, доброе утро, добрый день, добрый вечер, спокойной ночи, как дела, как поживаете, как вы, как ты
спасибо, большое спасибо, спасибо большое, огромное спасибо, спасибо за помощь, большое спасибо за помощь, благодарю, благодарю вас
до свидания, пока, до встречи, до завтра, хорошего дня, отлично, прекрасно, замечательно, очень хорошо, хорошо, понятно, молодец
привіт, добрий день, доброго ранку, добрий вечір, як справи, дякую, щиро дякую, дуже дякую, дякую за допомогу, до побачення, чудово

merhaba, selam, günaydın, iyi günler, iyi akşamlar, iyi geceler, nasılsın, nasılsınız, naber, ne haber
teşekkürler, teşekkür ederim, çok teşekkürler, çok teşekkür ederim, sağ ol, sağol, sağ olun, yardımın için teşekkürler
yardımınız için teşekkürler, güle güle, hoşça kal, görüşürüz, harika, mükemmel, çok iyi, süper, tamam, rica ederim

مرحبا, أهلا, أهلا وسهلا, السلام عليكم, وعليكم السلام, صباح الخير, مساء الخير, تصبح على خير, كيف حالك, كيف الحال
شكرا, شكرا لك, شكرا جزيلا, شكرا جزيلا لك, شكرا على المساعدة, شكرا على مساعدتك, شكرا لمساعدتك, مع السلامة, وداعا, إلى اللقاء
ممتاز, رائع, جيد, جيد جدا, أحسنت, حسنا, عفوا

नमस्ते, नमस्कार, हैलो, हाय, सुप्रभात, शुभ प्रभात, शुभ रात्रि, आप कैसे हैं, कैसे हो, क्या हाल है
धन्यवाद, बहुत धन्यवाद, बहुत बहुत धन्यवाद, शुक्रिया, बहुत शुक्रिया, मदद के लिए धन्यवाद, आपकी मदद के लिए धन्यवाद
अलविदा, फिर मिलेंगे, बहुत अच्छा, बढ़िया, बहुत बढ़िया, ठीक है, शाबाश, namaste, dhanyavaad, shukriya

xin chào, chào bạn, chào, chào buổi sáng, bạn khỏe không, bạn có khỏe không, cảm ơn, cảm ơn bạn, cám ơn, cảm ơn nhiều, cảm ơn bạn nhiều
cảm ơn rất nhiều, cảm ơn bạn đã giúp đỡ, tạm biệt, hẹn gặp lại, tuyệt vời, rất tốt, tốt lắm

halo, hai, selamat pagi, selamat siang, selamat sore, selamat malam, apa kabar, terima kasih, terima kasih banyak, makasih
terima kasih atas bantuannya, terima kasih atas bantuan anda, sampai jumpa, selamat tinggal, bagus, bagus sekali, luar biasa, sama sama

你好, 您好, 你们好, 大家好, 嗨, 哈喽, 早上好, 早安, 下午好, 晚上好, 晚安, 你好吗, 您好吗, 最近怎么样, 很高兴认识你
谢谢, 谢谢你, 谢谢您, 多谢, 非常感谢, 感谢, 谢谢你的帮助, 谢谢您的帮助, 感谢你的帮助, 感谢您的帮助, 非常感谢你的帮助, 非常感谢您的帮助
再见, 拜拜, 回头见, 明天见, 很好, 太好了, 太棒了, 好的, 真棒, 完美, 不错, 明白了, 不客气
謝謝, 謝謝你, 謝謝您, 再見, 早上好, 太好了, 謝謝你的幫助

こんにちは, こんばんは, おはよう, おはようございます, おやすみ, おやすみなさい, はじめまして
よろしく, よろしくお願いします, お元気ですか, 元気ですか, やあ
ありがとう, ありがとうございます, ありがとうございました, どうもありがとう, どうもありがとうございます, どうも, 助かりました, 感謝します
さようなら, またね, また明日, じゃあね, バイバイ, すごい, 素晴らしい, 素晴らしいです, 完璧です, いいですね, 了解, 了解です, わかりました

안녕, 안녕하세요, 안녕하십니까, 좋은 아침, 좋은 아침입니다, 반갑습니다, 만나서 반갑습니다, 잘 지내세요, 어떻게 지내세요, 잘 자요
고마워, 고마워요, 고맙습니다, 감사합니다, 정말 감사합니다, 대단히 감사합니다, 도와주셔서 감사합니다, 도움 감사합니다
안녕히 가세요, 안녕히 계세요, 잘 가, 또 봐요, 좋아요, 훌륭해요, 완벽해요, 최고예요, 알겠습니다

สวัสดี, สวัสดีครับ, สวัสดีค่ะ, สบายดีไหม, ขอบคุณ, ขอบคุณครับ, ขอบคุณค่ะ, ขอบคุณมาก, ขอบคุณมากครับ, ขอบคุณมากค่ะ, ลาก่อน, ดีมาก, เยี่ยมมาก
"""
UNSPACED_SCRIPT = re.compile(f"[{UNSPACED}]")
IGNORED = re.compile("['’\ufe00-\ufe0f]")  # apostrophes, variation selectors of emoji
VOWELS = re.compile("[\u064b-\u0655]")  # Arabic vowel marks and hamza, which are optional in writing


def is_small_talk(message: str) -> bool:
    """Whether the message is nothing but small talk. Case, accents, punctuation and emoji are ignored."""
    if len(message) > MAX_CHARACTERS:
        return False
    if not (text := _normalize(message)):
        return any(unicodedata.category(c) == "So" for c in message)  # an emoji
    reached = {0}
    for at in range(len(text)):
        if at in reached:
            reached |= {end + (text[end : end + 1] == " ") for phrase in NORMALIZED_PHRASES if (end := _phrase_end(text, at, phrase))}
    return len(text) in reached


def _phrase_end(text: str, at: int, phrase: str) -> int:
    """Where `phrase` ends if it stands at `at`, on a word boundary in scripts that separate words; else 0."""
    end = at + len(phrase)
    whole = text[end : end + 1] in ("", " ") or UNSPACED_SCRIPT.match(phrase[-1])
    return end if whole and text.startswith(phrase, at) else 0


def _normalize(text: str) -> str:
    """Case-folded words without accents and punctuation, separated by single spaces."""
    without_accents = ACCENT.sub("", unicodedata.normalize("NFKD", IGNORED.sub("", text).casefold()))
    characters = (
        " " if unicodedata.category(c)[0] in "PSZC" else c for c in unicodedata.normalize("NFKC", VOWELS.sub("", without_accents))
    )
    return " ".join("".join(characters).split())


NORMALIZED_PHRASES = frozenset(_normalize(phrase) for line in PHRASES.splitlines() for phrase in line.split(",") if phrase.strip())
