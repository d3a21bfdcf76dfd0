"""Factur-X: a PDF/A-3b that says inside which XML it has, by the metadata of the specification (1.0.7, chapter 6)."""

from datetime import UTC, datetime
from xml.sax.saxutils import escape

from parvis.adapters.invoices.cii import write_cii
from parvis.adapters.invoices.page import InvoicePage
from parvis.domain.billing.invoice import Invoice

ATTACHED = "factur-x.xml"
PROFILE = "EN 16931"
_FIELDS = {
    "DocumentType": "The type of the hybrid document: INVOICE",
    "DocumentFileName": "The name of the embedded XML document",
    "Version": "The version of the standard of the embedded XML document",
    "ConformanceLevel": "The conformance level of the embedded XML document",
}
_SCHEMA = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">
   <pdfaid:part>3</pdfaid:part>
   <pdfaid:conformance>B</pdfaid:conformance>
  </rdf:Description>
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
   <dc:creator><rdf:Seq><rdf:li>{author}</rdf:li></rdf:Seq></dc:creator>
  </rdf:Description>
  <rdf:Description rdf:about="" xmlns:pdf="http://ns.adobe.com/pdf/1.3/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">
   <pdf:Producer>{producer}</pdf:Producer>
   <xmp:CreatorTool>{creator}</xmp:CreatorTool>
   <xmp:CreateDate>{made}</xmp:CreateDate>
   <xmp:ModifyDate>{made}</xmp:ModifyDate>
  </rdf:Description>
  <rdf:Description rdf:about="" xmlns:fx="{schema}">
   <fx:DocumentType>INVOICE</fx:DocumentType>
   <fx:DocumentFileName>{attached}</fx:DocumentFileName>
   <fx:Version>1.0</fx:Version>
   <fx:ConformanceLevel>{profile}</fx:ConformanceLevel>
  </rdf:Description>
  <rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"
    xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
   <pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">
    <pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>
    <pdfaSchema:namespaceURI>{schema}</pdfaSchema:namespaceURI>
    <pdfaSchema:prefix>fx</pdfaSchema:prefix>
    <pdfaSchema:property><rdf:Seq>{properties}</rdf:Seq></pdfaSchema:property>
   </rdf:li></rdf:Bag></pdfaExtension:schemas>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>"""
_PROPERTY = """
     <rdf:li rdf:parseType="Resource"><pdfaProperty:name>{name}</pdfaProperty:name>
      <pdfaProperty:valueType>Text</pdfaProperty:valueType><pdfaProperty:category>external</pdfaProperty:category>
      <pdfaProperty:description>{description}</pdfaProperty:description></rdf:li>"""


class FacturX:
    """`parvis.flows.press.Press`, with fpdf2 for the pages."""

    def xml(self, invoice: Invoice) -> bytes:
        """See the port."""
        return write_cii(invoice)

    def pdf(self, invoice: Invoice, content_sha256: str, language: str) -> bytes:
        """See the port."""
        made = datetime.fromisoformat(invoice.issued_on).replace(tzinfo=UTC)
        page = InvoicePage(invoice, content_sha256, language)
        page.set_creation_date(made)
        page.embed_file(
            bytes=write_cii(invoice),
            basename=ATTACHED,
            mime_type="text/xml",
            modification_date=made,
            associated_file_relationship="Alternative",
            desc=page.title,
            compress=True,
            checksum=True,
        )
        page.set_xmp_metadata(_metadata(page, made))
        return bytes(page.output())


def _metadata(page: InvoicePage, made: datetime) -> str:
    """What the file says of itself. It must say the same as the document information does."""
    said = {"title": page.title, "author": page.author, "producer": page.producer, "creator": page.creator}
    properties = "".join(_PROPERTY.format(name=name, description=text) for name, text in _FIELDS.items())
    return _XMP.format(
        **{name: escape(str(text)) for name, text in said.items()},
        made=made.isoformat(),
        schema=_SCHEMA,
        attached=ATTACHED,
        profile=PROFILE,
        properties=properties,
    )
