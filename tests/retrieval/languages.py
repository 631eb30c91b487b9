"""Texts of many languages, and the encodings that old files have them in."""

TEXTS = {
    "Portuguese": (
        ("cp1252", "iso8859_1"),
        "Não há razão para que a comissão não publique as decisões até amanhã. As eleições serão em março, e os cidadãos "
        "poderão votar também aos sábados. O relatório descreve três opções: manter, alterar ou pôr fim à concessão. ",
    ),
    "Swedish": (
        ("cp1252", "iso8859_1"),
        "Under året har bolaget ökat sin försäljning på den svenska marknaden. Styrelsen föreslår att årsstämman beslutar om en "
        "utdelning på två kronor. Köparen får återkalla köpet inom fjorton dagar från det att varan har lämnats. ",
    ),
    "Danish": (
        ("cp1252",),
        "Bestyrelsen foreslår, at årets overskud overføres til næste år. Køberen kan hæve købet, når sælgeren ikke har leveret "
        "varen til tiden. Prøverne blev taget på øen i går, og målingerne er vedlagt som bilag til rapporten. ",
    ),
    "French": (
        ("cp1252",),
        "L’été dernier, la société a été créée à Paris. « Où est passé l’élève ? », demanda le maître. Le contrôle a été effectué "
        "par nos équipes, et les résultats seront présentés à l’assemblée générale du mois de février… Ça coûte 12 €. ",
    ),
    "Italian": (
        ("cp1252",),
        "La società è stata costituita a Milano, perché la città offre più possibilità. Il consiglio si riunirà lunedì, "
        "e ciò che è stato deciso verrà pubblicato. Qualità e libertà sono i nostri valori: così è, e così sarà. ",
    ),
    "German": (
        ("cp1252", "iso8859_1"),
        "Die Prüfung der Anträge dauert für gewöhnlich höchstens fünf Tage. Der Käufer muß die Ware „unverzüglich“ prüfen und "
        "Mängel rügen. Größere Änderungen müssen schriftlich bestätigt werden (§ 5 Abs. 2 des Vertrages über Geräte). ",
    ),
    "Spanish": (
        ("cp1252",),
        "El año pasado la compañía abrió una oficina en España. ¿Cuándo llegará el informe? Según el artículo 3º, la petición "
        "deberá presentarse por escrito en los próximos días; también podrá hacerse por teléfono. ¡Qué rápido! ",
    ),
    "Icelandic": (
        ("cp1252",),
        "Það er ekki hægt að segja til um hvað verður á morgun. Stjórn félagsins leggur til að greiddur verði arður til "
        "hluthafa. Síðan þá hefur íbúum fjölgað mjög, og margir þeirra búa í Reykjavík við sjóinn þar sem áður var tún. ",
    ),
    "English": (
        ("cp1252",),
        "The company’s board met on Monday — and “everything” was approved, it said. The buyer’s rights aren’t touched by this "
        "clause… A café in the centre may open at 7 o’clock; its fee is £5 a month, or €6 for those who don’t live there. ",
    ),
    "Names": (
        ("cp1252",),
        "Present were José García, Jürgen Müller, Françoise Lefèvre, Søren Ødegård, Åsa Björk, João Guimarães and Núria Peña. "
        "The minutes were written by Zoë O’Brien, and were sent to André, Íñigo, Bjørn, Ségolène and Jörg the day after. ",
    ),
    "Polish": (
        ("cp1250", "iso8859_2"),
        "Zażółć gęślą jaźń. Spółka złożyła wniosek o zmianę umowy, a sąd przyznał jej rację. Każdy kupujący może odstąpić od "
        "umowy w ciągu czternastu dni; sprzedawca zwróci mu wówczas wszystkie płatności. Więcej w następnym rozdziale. ",
    ),
    "Czech": (
        ("cp1250", "iso8859_2"),
        "Příliš žluťoučký kůň úpěl ďábelské ódy. Společnost předložila návrh změny smlouvy a soud jí vyhověl. Každý kupující "
        "může odstoupit od smlouvy do čtrnácti dnů; prodávající mu vrátí všechny peněžní prostředky. Více v příští kapitole. ",
    ),
    "Hungarian": (
        ("cp1250",),
        "A vevő tizennégy napon belül elállhat a szerződéstől, és az eladó köteles a vételárat visszafizetni. A bíróság "
        "döntését követően a felek új megállapodást kötöttek. Győr és Pécs között gyűlt össze a legtöbb ember ősszel. ",
    ),
    "Turkish": (
        ("cp1254",),
        "Alıcı, on dört gün içinde sözleşmeden cayma hakkına sahiptir. Satıcı, ödenen bedeli geri vermekle yükümlüdür. Şirketin "
        "yönetim kurulu bugün toplandı ve değişiklik önerisini kabul etti. İstanbul’da yağış bekleniyor, dedi görevli. ",
    ),
    "Russian": (
        ("cp1251", "koi8_r"),
        "Покупатель вправе отказаться от договора в течение четырнадцати дней, а продавец обязан вернуть ему уплаченную сумму. "
        "Суд согласился с доводами истца и отменил решение. Подробнее об этом говорится в следующей главе отчёта. ",
    ),
    "Greek": (
        ("cp1253", "iso8859_7"),
        "Ο αγοραστής μπορεί να υπαναχωρήσει από τη σύμβαση μέσα σε δεκατέσσερις ημέρες και ο πωλητής πρέπει να του επιστρέψει "
        "το ποσό. Το δικαστήριο δέχθηκε την αίτηση και ακύρωσε την απόφαση. Περισσότερα στο επόμενο κεφάλαιο. ",
    ),
    "Japanese": (
        ("shift_jis", "euc_jp"),
        "買主は、契約の日から十四日以内であれば、理由を示すことなく契約を解除することができる。売主は、受け取った代金を速やかに返還しなければならない。"
        "裁判所は原告の主張を認め、先の決定を取り消した。詳しくは次の章で述べる。新しいソフトウェアのインストールには約五分かかります。",
    ),
    "Simplified Chinese": (
        ("gbk",),
        "买方可以在十四日内无理由解除合同，卖方应当及时退还已经收到的全部价款。法院支持了原告的请求，撤销了此前作出的决定。"
        "更多内容将在下一章中说明。公司董事会今天召开会议，通过了修改章程的提案，并决定向股东分配利润。",
    ),
    "Traditional Chinese": (
        ("big5",),
        "買方可以在十四日內無理由解除契約，賣方應當及時退還已經收到的全部價款。法院支持了原告的請求，撤銷了先前作出的決定。"
        "更多內容將在下一章中說明。公司董事會今天召開會議，通過了修改章程的提案，並決定向股東分配利潤。",
    ),
    "Korean": (
        ("euc_kr",),
        "구매자는 십사 일 이내에 이유를 밝히지 않고 계약을 해제할 수 있으며, 판매자는 받은 대금을 지체 없이 돌려주어야 한다. "
        "법원은 원고의 주장을 받아들여 이전 결정을 취소하였다. 자세한 내용은 다음 장에서 설명한다. 회사의 이사회가 오늘 열렸다. ",
    ),
}
