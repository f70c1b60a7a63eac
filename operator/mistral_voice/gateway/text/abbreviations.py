"""Words that end in a full stop without ending a sentence, by language. Those that are words of their own too ("no.") are left out.

What counts beside this list: a single letter (initials, "e.g.", "z. B."), a number of up to two digits, and a short word before a digit
("No. 5") or before a small letter.
"""

_ENGLISH = (
    "mr mrs ms dr prof st rev gov sen capt sgt lt col maj jr sr inc ltd corp bros dept approx appt apt ave blvd hwy vs etc cf ca viz "
    "vol vols figs pp eds jan feb apr aug sept oct nov dec tue tues wed thu thurs fri tel lbs hrs ph.d univ intl misc sect resp"
)
_GERMAN = (
    "bzw usw evtl ggf vgl nr str hr fr dipl ing inkl exkl zzgl mio mrd tsd bspw sog abs abb kap geb gest jh jhdt mag phil habil std sek "
    "allg ehem eigtl entspr etw gem jew mind sonst ugs urspr zus zw"
)
_FRENCH = "m mm mme mmes mlle mlles me ste av env chap éd bd boul tél p.ex ex réf janv févr juill déc"
_SPANISH = "sra sres srta dra ud uds vd vds dña lic avda núm pág págs aprox ej ee uu gral atte"
_ITALIAN = "sig sigg sig.ra dott dott.ssa avv arch geom ecc pag pagg spett gent"
_PORTUGUESE = "srs dras exmo exma ilmo lda"
_DUTCH = "dhr mevr mw drs ir bijv enz blz resp excl incl nl"
_POLISH = "ul np tzw inż mgr godz tys mln mld wg itd itp"

ABBREVIATIONS = frozenset(" ".join((_ENGLISH, _GERMAN, _FRENCH, _SPANISH, _ITALIAN, _PORTUGUESE, _DUTCH, _POLISH)).split())
