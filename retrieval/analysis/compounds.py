"""The parts of German compounds: "Kündigungsfrist" is also found by "Frist" and by "Kündigung".

A compound is a word that ends in one of the nouns below, which most compounds of everyday texts do (dictionary-based decompounding, as
Lucene's filter of that name); what stands before it is its other part, with or without a linking "s"."""

from functools import cache

from retrieval.analysis.stems import stems

LANGUAGE = "de"
MIN_PART = 4  # letters
_HEADS = """
    abteilung aktion amt änderung anlage anleitung anspruch anteil antrag anwalt anwendung anzeige arbeit arbeiter archiv artikel
    arzt aufgabe auftrag ausbildung ausgabe ausschuss ausweis auto bahn band bank bau bedarf bedingung behandlung behörde beitrag
    benutzer berater bereich bericht beruf bescheid betrag betrieb bild bildschirm bildung blatt boden brief brücke buch bund büro
    code computer datei daten datum dienst dienstleistung druck drucker einstellung element energie entscheidung entwicklung
    erklärung erlaubnis fabrik fach fahrer fahrt fahrzeug fall familie farbe fehler feld fenster feuer film firma fläche flasche
    flug flughafen fluss form format formular forschung frage frau frist führer führung funktion garten gebäude gebiet gebühr gefahr
    gehalt geld genehmigung gerät gericht geschäft geschichte geschwindigkeit gesellschaft gesetz gespräch gesundheit gewicht grenze
    größe grund gruppe hafen halle handel handlung haus heft heizung hilfe himmel höhe holz hotel industrie information insel
    institut jahr kammer kampf karte kasse katalog kauf käufer kette kind kirche klasse kleidung klinik knopf kommission konto
    kosten kraft krankheit kreis krieg kunde kunst kurs küste lager land länge leben lehre lehrer leistung leiter leitung licht
    liebe lieferung linie liste lohn luft macht maler mangel mann markt maschine maß material mauer maus medizin meister meldung
    menge mensch messe messung metall miete mieter ministerium mitglied mittel möglichkeit monat motor museum musik mutter name
    nehmer netz nummer nutzer nutzung ordner ordnung partei partner passwort pause person pflege pflicht plan planung platte platz
    politik polizei post preis problem produkt programm projekt prozess prüfung punkt quelle rate raum rechnung rechner recht regel
    regelung regierung region reihe reise rente richtung risiko sache satz schaden schein schicht schiff schlüssel schnitt schrank
    schrift schule schüler schutz seite sendung sicherheit software soldat sorge speicher spiel spieler sport sprache staat stadt
    stahl stand station stein stelle stellung steuer stimme stock stoff straße strecke strom stück student studie stufe stuhl stunde
    system tabelle tafel tasche taste tastatur technik teil temperatur termin test text theater theorie tier tisch tochter treffen
    tür turm übersicht unfall universität unternehmen unterricht unterschied urlaub urteil vater verband verbindung verein verfahren
    vergleich verkauf verkehr verlag verletzung versand versicherung versorgung version vertrag vertreter verwaltung verzeichnis
    vorschrift waffe wagen wahl wald wand ware wärme wasser wechsel weise welt werk werkzeug wert wetter wirtschaft wissenschaft
    woche wohnung wort wunsch zahl zahlung zeichen zeile zeit zeitung zelle zentrum zertifikat zeug zeugnis ziel zimmer zins zone
    zoll zugang zustand zweck
    """


def parts(word: str) -> tuple[tuple[str, ...], ...]:
    """The index terms of the two parts of a case-folded word, each in all its spellings; () if it is no known compound."""
    _, stem = stems(word, LANGUAGE)[0].split(":", 1)
    heads = _heads()
    for start in range(MIN_PART, len(stem) - MIN_PART + 1):  # the longest head first
        if stem[start:] in heads:
            modifier = stem[:start]
            spellings = (modifier, modifier[:-1]) if modifier.endswith("s") and start > MIN_PART else (modifier,)
            return tuple(dict.fromkeys(term for part in spellings for term in stems(part, LANGUAGE))), (f"{LANGUAGE}:{stem[start:]}",)
    return ()


@cache
def _heads() -> frozenset[str]:
    return frozenset(stems(head, LANGUAGE)[0].split(":", 1)[1] for head in _HEADS.split())
