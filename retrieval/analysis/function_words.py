"""The most frequent function words of each language: they tell which language a text is in. As they are written, accents
included."""

_LISTS = {
    "en": """a an and are as at be but by can did do does for from had has have how if in into is it its no not of on or such that the
        their then there these they this to was were what when where which who why will with would you your""",
    "de": """aber als am an auch auf aus bei bin bis das dass dem den der des die diese dieser dieses doch du durch ein eine einem einen
        einer eines er es für hat haben ich ihr im in ist kann können man mit nach nicht noch nur oder ob sich sie sind so über um und uns
        vom von vor war waren was welche welcher welches wenn wer werden wie wir wird wo worden wurde wurden zu zum zur zwischen""",
    "nl": """aan al als bij dan dat de deze die dit door een en er heeft het hij hoe hun ik in is je kan kunnen maar met na naar niet nog
        of om onder ook op over te tot uit uw van voor waar was wat wel welke werd wij wordt worden ze zich zijn zo zoals""",
    "fr": """à au aux avec ce ces cette comme dans de des du elle en est et être eu il ils je la le les leur lui mais même ne nous on
        ont ou où par pas plus pour qu quand que quel quelle quels quelles qui quoi sa sans se ses si son sont sur un une vous y été était
        l d s n c""",
    "es": """a al como con cual cuál cuando cuándo de del desde donde dónde el él ella en entre era es esta este esto está están fue
        fueron ha han hasta la las le les lo los más muy no o para pero por porque qué que quien quién se ser si sin sobre son su sus
        también un una unas uno y""",
    "pt": """a ao aos as à às com como da das de do dos e é ele ela em entre era essa esse esta este está foi foram há isso mais mas
        na nas não no nos o onde os ou para pela pelas pelo pelos por qual quais quando que quem são se sem ser seu seus sua suas também
        tem um uma você""",
    "it": """a ad agli ai al alla alle anche che chi ci come con cosa da dal dalla dei del della delle degli di dove e è ed era essere
        gli ha hanno i il in la le lo loro ma nel nella nelle non o per perché più può qual quale quali quando quanto questa questo se si
        sono stata stato su sua sul sulla suo tra un una uno l""",
    "ro": """a acest această al ale am are au ca că care ce cel cea cu cum când către de decât deci despre din după ea ei el este eu
        fi fie fost în între îi îl la le lor lui mai nu o pe pentru prin sa sau să se sunt și și-a un una unde unei unor unui""",
    "ca": """a al als amb aquest aquesta això com d de del dels des el ella els en entre era es és està et ha han hi i l la les li
        més no o on per però pot que què qui quin quina se sense ser seu seva són també un una uns va""",
    "da": """af alle at blev bliver da de dem den denne der deres det dette du efter eller en end er et for fra få har havde hvad hvilken
        hvilket hvis hvor hvordan hvornår i ikke ind jeg kan kunne man med men mod når og også om op over på sig sin skal som til ud under
        var ved vil være""",
    "no": """alle at av ble blir da de dem den denne der det dette du eller en enn er et etter for fra få ha har hadde hva hvilken
        hvilket hvis hvor hvordan hun i ikke inn jeg kan man med men mot når og også om opp over på seg sin skal som til ut under var ved
        vil være å""",
    "sv": """alla att av blev bli blir de dem den denna deras det detta dig du där efter eller en ett från för ha hade han har hur i
        ifrån in inte jag kan man med mellan men mot måste ni när nu och också om på sedan sig sin ska skall som så till under upp ut utan
        vad var vara varför vem vi vid vilka vilken vilket är än åt över""",
    "fi": """ei eivät että he hän ja jo joka jos jotka jota johon jossa kanssa koska kuin kuinka kun kuka me mihin mikä milloin minkä
        missä mitä mitkä mukaan mutta myös ne niin niitä nyt näiden ole oli olivat olla on ovat se sekä sen siitä sitä tai tämä tämän
        tässä vai vain voi""",
    "et": """aga ei et ega ehk ja juba ka kas kes kui kuidas kus kuid kuna ma me mille millal mis mida mitte ning nad need nii oli olid
        olla on pole sa see seda selle siis ta tema üks või võib""",
    "hu": """a az azt aki akik által amely amelyek ami csak de egy egyik el és ez ezek ezt fel hogy hol hogyan ha igen is ki kell le
        lehet mely melyik meg mert mi mikor mint milyen minden mit nem nincs pedig s szerint több után vagy van vannak volt voltak""",
    "tr": """ama ancak bir biri bu bunu bunun çok da daha de değil diye en gibi hangi her ile ise için kadar ki kim mı mi mu mü nasıl ne
        neden nedir nerede olan olarak olduğu oldu şu sonra tarafından üzere var ve veya ya""",
    "pl": """a aby ale albo bez być by był była było były będzie co czy dla do gdy gdzie i ich im ja jak jako jego jej jest jeśli kiedy
        kto które która który lub ma można na nad nie o od oraz po pod przed przez przy się są ta tak także te tego tej ten to tym w we
        wraz z za ze że żeby""",
    "cs": """a aby ale ani až bez byl byla bylo byly být co či do i jak jako je jeho její jejich jen jestli ještě již k kde kdo kdy kdyby
        která které který ke mezi na nad nebo není než o od po pod podle pokud pro proto před při s se si so tak také tato tento této to
        toho u v ve však z za ze že""",
    "lt": """ar arba bei bet būti buvo dėl į iki ir iš yra jau jei jeigu jis jo jos jų kad kai kaip kas kiek ko kokia koks kuri
        kuris kurie kur nuo nes o pagal per po prie su šis šio tačiau tai taip ta tas už ne nėra""",
    "lv": """un ir ar no uz lai kas ka kā par pie tas to tā šo šī vai var jūs jūsu ja bet kad kur nav tiek arī pēc līdz kura kurā""",
    "hr": """a ako ali bi bilo bio biti do gdje i ili iz ima je jer još kada kako kao koja koje koji li može na nakon ne nije o od
        ova ovaj po pod pri s sa se su što ta te to u uz za što će""",
    "sl": """ali bi bil bila bilo če da do ga in iz je jih k kaj kako kar kateri katera kjer ko kot lahko le med na nad ne ni o ob od
        pa po pod pri s se si so ta te to tudi v z za že""",
    "eu": """al bat baina bere da dira du dute edo egin ere eta ez gabe hau hori horren izan izango ko nola non noiz nor oso zein zen
        zer zuen ziren""",
    "id": """ada adalah agar akan anda apa apakah atau bagaimana bahwa berapa bila bisa dalam dan dapat dari dengan di dia oleh
        harus ini itu jika juga kapan karena ke kepada mana mereka oleh pada para saat sebagai secara sebuah seperti siapa telah tetapi
        tidak untuk yang""",
    "ga": """a ach ag agus an ar as atá ba bhí cad cé chun conas de den do don faoi fear go i is le leis lena mar na nach ní nuair ó
        roimh sa san sé sí siad tá""",
    "vi": """và của là các có được cho trong một những với không này để khi người đã từ bạn nếu hoặc trên như về tại nào bao nhiêu
        gì ai đâu""",
    "ru": """а бы был была были было быть в во где для до его ее её если есть еще ещё же за и из или им их к как какая какие какой
        когда который которая которые кто ли между на над не него нее них но о об от по под при с со так также там то того только у чем
        что чтобы эта эти это этот этого""",
    "uk": """а або або ж але в вас ви від він вона вони для до є з за зі і й із його її їх коли ли на над не ні про при та так також
        те ти то у це цей цього чи що щоб як яка який яке які якщо""",
    "sr": """а ако али би био била бити да до за и из или је јер још када како као која које који ли може на након не није о од ова
        овај по под са се су та те то у уз што ће""",
    "el": """αν από από αυτή αυτό αυτός για δε δεν είναι είχε ένα ένας έχει έχουν ή η θα και κατά με μετά μη μια μία να ο οι όπως όταν ότι
        ποια ποιες ποιο ποιος που πού προς πως πώς σε στα στη στην στις στο στον στους τα τη την της τι τις το τον του τους των ως""",
    "ar": """إلى أن إن أو أي التي الذي الذين أين إذا بعد بين تم ثم حتى حول ذلك عن عند على عبر غير في قبل قد كان كانت كل كم كما كيف لا لم لن
        له لها ما ماذا متى مع من منذ هذا هذه هل هم هو هي و وفي ومن وهو وهي يكون""",
    "fa": """از است اما اگر این آن با باشد برای بود به بر تا تواند چه چگونه خود در دارد را شد شده شود کجا کرد کند کنید که کدام می ها های
        هر هستند نیست و ولی یا یک""",
    "hi": """और अपने इस इसके उनके उस एक ऐसे कब कर करना करने कहाँ का कि किस किसी किया की कुछ के को कौन क्या क्यों गया जब जा जो तक तथा था थी थे
        नहीं ने पर भी में या यह ये वह वे से हुआ है हैं हो होता""",
    "ne": """अनि एक का को गरेको गर्न छ छन् छैन तथा तर थियो देखि पनि बाट भएको मा यो र रहेको ले लाई वा हो हुन्""",
    "hy": """այդ այն այս են և եւ են է էր թե իր ինչ կամ համար հետ մեջ մի մինչև նա նրա որ որը որոնք չի ու պատճառով ուր պետք""",
    "ta": """ஒரு இந்த அந்த என்று மற்றும் இது அது இருந்து உள்ள என போது வேண்டும் அல்லது இல்லை""",
    "yi": """און די דער דאָס צו איז אין פון אַז ער זיי נישט מיט אויף פֿון""",
}
FUNCTION_WORDS = {language: frozenset(words.split()) for language, words in _LISTS.items()}
