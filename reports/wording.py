"""The words on screens and pages for counts, confidences and signatures. The names in files stay as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clinspan.corpora.printable import plural
from clinspan.metrics.intervals import LEAST_DOCUMENTS

_COUNTS = {
    # what the conversion of annotations to tags did
    "duplicate_dropped": "mention[s] lost: [it shares a token|they share a token] with another one of the same type",
    "overlap_longest": "mention[s] lost: [it shares a token|they share a token] with a longer one",
    "overlap_first": "mention[s] lost: [it shares a token|they share a token] with one earlier in the file",
    "overlap_last": "mention[s] lost: [it shares a token|they share a token] with one later in the file",
    "empty_dropped": "mention[s] lost: no token lies in [it|them]",
    "partial_expand": "mention[s] widened to whole tokens",
    "partial_drop": "mention[s] lost: [it ends|they end] inside a token",
    "discontinuous_first": "mention[s] in pieces: only the first piece is tagged",
    "discontinuous_envelope": "mention[s] in pieces: tagged from the first to the last piece",
    "discontinuous_drop": "mention[s] lost: [it is|they are] in pieces",
    "crossing_split": "mention[s] across a sentence boundary: divided there",
    "crossing_first": "mention[s] across a sentence boundary: only the part before it is tagged",
    "crossing_drop": "mention[s] lost: [it crosses|they cross] a sentence boundary",
    "pieces_in_two_sentences": "mention[s] in pieces with pieces in different sentences",
    "line_broken_joined": "mention[s] whose line-broken pieces were joined",
    "mention_differs_from_text": "mention[s] whose text in the file differs from the text at [its|their] offsets",
    "entities_without_offsets": "mention[s] lost: the file gives no offsets",
    "rows_without_mention": "row[s] without a mention",
    "bare_tags": "tag[s] without a type",
    "orphan_i_kept": "I- tag[s] after no tag of the same mention: read as [a beginning|beginnings]",
    "iob1_files": "file[s] in IOB1, converted",
    "iobes_files": "file[s] in IOBES, converted",
    "bilou_files": "file[s] in BILOU, converted",
    "comment_lines": "comment line[s] not read",
    "other_lines": "line[s] with events, attributes or notes not read",
    "word_ranges": "line[s] that span[s|] several words not read",
    "relations": "relation[s] not read",
    "dangling_relations": "relation[s] to a mention that the file lacks",
    "events": "event[s] not read",
    "coreferences": "coreference chain[s] not read",
    "event_triggers": "mention[s] that [is the trigger|are triggers] of an event",
    "repeated_passages": "passage[s] given twice: read once",
    "further_annotators": "annotation set[s] by further annotators not read",
    "answers_not_accepted": "annotation set[s] not accepted by the annotator: not read",
    "other_results": "result[s] of other kinds than spans not read",
    "documents_without_annotations": "document[s] without annotations",
    "documents_without_ann": "document[s] without an annotation file",
    "documents_without_con": "document[s] without a .con file",
    "documents_without_tokens": "document[s] without tokens left out",
    "documents_without_sentences": "document[s] without sentences: each is one sentence",
    "rows_without_tokens": "row[s] without tokens left out",
    "sentences_without_tags": "sentence[s] without tags left out",
    "sentences_as_documents": "sentence[s] without a document: each counts as a document of its own",
    "tokens_of_white_space": "token[s] of white space",
    "space_tokens_left_out": "token[s] of white space left out",
    "text_normalised": "text[s] whose offsets fit other line ends or no byte order mark",
    "utf16_offsets": "text[s] with offsets in UTF-16 units, converted",
    "utf8_offsets": "text[s] with offsets in UTF-8 bytes, converted",
    "crlf_offsets": "text[s] with offsets that count two characters a line end, converted",
    "overwritten_tokens": "token[s] tagged twice: the later mention counts",
    "labels_hidden": "type[s] without a tag in a document, as other mentions cover [its|their] tokens",
    "anaphor_tokens": "token[s] of anaphors: not tagged",
    "starts_inside_token": "mention[s] that [begins|begin] inside a token",
    "sentences_joined_across_documents": "sentence[s] joined across documents, as in the paper's data",
    "fragments_cut_at_join": "piece[s] of mentions cut where sentences were joined",
    # what was repaired in answers
    "overlapping_mention": "mention[s] ignored because [it overlaps|they overlap] another in the answer",
    "repeated_mention": "mention[s] given twice: read once",
    "mention_not_found": "mention[s] ignored because the sentence does not have [it|them]",
    "copied_from_context": "mention[s] ignored because the sentence does not have [it|them]: copied from its context",
    "copied_from_demonstration": "mention[s] ignored because the sentence does not have [it|them]: copied from a demonstration",
    "type_by_probability": "type[s] of [a mention|mentions] ignored because another type of [it|them] is more probable",
    "respelt_mention": "mention[s] found in other characters",
    "changed_case": "mention[s] found in another case",
    "mention_without_letter": "mention[s] ignored because [it has|they have] neither letter nor digit",
    "malformed_mention": "entr[y|ies] ignored because [it is|they are] no mention",
    "malformed_answer": "answer[s] in another form than asked for",
    "malformed_json": "answer[s] that [is|are] not valid JSON: read as far as possible",
    "surplus_json": "JSON value[s] ignored because the answer has another one",
    "malformed_line": "line[s] in another form than asked for",
    "missing_line": "token[s] without a line in the answer",
    "surplus_line": "line[s] without a token",
    "merged_line": "line[s] with several tokens",
    "changed_token": "token[s] copied with changes",
    "bridged_gap": "token[s] without a line inside a mention: given to it",
    "changed_text": "sentence[s] copied with changes",
    "cut_token": "mark[s] inside a token: moved to its end",
    "stray_close": "closing mark[s] without an opening one",
    "unclosed_mark": "mark[s] without an end",
    "guessed_start": "mark[s] whose beginning was guessed",
    "unknown_label": "answer part[s] ignored because of an unknown type",
    "unknown_tag": "tag[s] that [is|are] no BIO tag: read as O",
    "orphan_i": "I- tag[s] after no tag of the same mention: read as [a beginning|beginnings]",
    "missing_tag": "token[s] without a tag: read as O",
    "surplus_tag": "tag[s] without a token",
    "asked_by_type": "sentence[s] asked again for one type at a time: the answer to all types reached the token limit",
    "cut_by_budget": "answer[s] cut at the limit of answer tokens",
    "read_in_windows": "sentence[s] longer than the model reads at once: read in overlapping windows",
    "context_dropped": "prompt[s] without the context in the document because it was too long",
    "demonstration_dropped": "demonstration[s] left out because the prompt was too long",
}
"""By the name in files: words after the number. `[s]` is for several, `[one|several]` for one or several."""

_TRIGGER = "trigger_"
_CHOICE = re.compile(r"\[([^]|]*)(?:\|([^]]*))?\]")
_MATCHES = {
    "exact": "exact spans",
    "relaxed": "overlapping spans of the same type",
    "type_free": "exact spans of any type",
    "token": "tokens",
    "document": "distinct mentions by document",
    "offsets": "exact characters",
    "full": "mentions with all their pieces",
}
_MODES = {"conlleval": "seqeval default", "strict": "strict IOB2"}
_BAD_CALIBRATION = 0.1


def is_worded(name: str) -> bool:
    """Whether a count has words of its own."""
    return name in _COUNTS or name.startswith(_TRIGGER)


def count_words(name: str, number: int, example: str = "") -> str:
    """A count in words.

    >>> count_words("overlapping_mention", 27)
    '27 mentions ignored because they overlap another in the answer'
    >>> count_words("partial_expand", 1, "HTN -> HTN/HLD")
    '1 mention widened to whole tokens (example: HTN -> HTN/HLD)'
    """
    return f"{number:,} {count_head(name, number)}" + (f" (example: {example})" if example else "")


def count_head(name: str, number: int = 2) -> str:
    """What is counted, without the number.

    >>> count_head("empty_dropped")
    'mentions lost: no token lies in them'
    """
    if name.startswith(_TRIGGER):
        return f"trigger{'' if number == 1 else 's'} of events of the type {name.removeprefix(_TRIGGER)}"

    def chosen(found: re.Match[str]) -> str:
        one, several = ("", found[1]) if found[2] is None else (found[1], found[2])
        return one if number == 1 else several

    return _CHOICE.sub(chosen, _COUNTS[name]) if name in _COUNTS else name.replace("_", " ")


def signature_fields(signature: str) -> dict[str, str]:
    """The fields of a signature by name.

    >>> signature_fields("match:exact|types:4/5|v2")["types"]
    '4/5'
    """
    return dict(part.split(":", 1) for part in signature.split("|") if ":" in part)


def reading_words(signature: str) -> str:
    """What a signature says about how tags or annotations are compared.

    >>> reading_words("unit:entity|match:exact|mode:conlleval|avg:macro|types:4/5|align:tokens|failed:0/30|docs:2|v2")
    'exact spans, seqeval default, macro over 4 of 5 types'
    """
    fields = signature_fields(signature)
    words = [_MATCHES.get(fields.get("match", ""), fields.get("match", ""))]
    if mode := fields.get("mode"):
        words.append(_MODES.get(mode, mode))
    if fields.get("avg") == "macro" and "types" in fields:
        of_types = fields["types"].split("/")
        words.append(f"macro over {' of '.join(of_types)} {'type' if of_types[-1] == '1' else 'types'}")
    if fields.get("align", "tokens") != "tokens":
        words.append("by characters" if fields["align"] == "characters" else f"aligned by {fields['align']}")
    if "tok" in fields:
        words.append(f"tokens {fields['tok']}, sentences {fields.get('sent', '')}")
    if "folds" in fields:
        number, _, seed = fields["folds"].partition("@")
        words.append(f"{number} folds (seed {seed})")
    return ", ".join(word for word in words if word)


def scored_words(scores: Mapping[str, Any]) -> str:
    """How scores were computed and on what, for the line under a table.

    Args:
        scores: The content of `scores.json`, or the scores of a reading.

    >>> signed = "match:exact|mode:strict|avg:micro|types:1|failed:0/30"
    >>> scored_words({"signature": signed, "sentences": 30, "documents": 2, "failed": 0})
    'exact spans, strict IOB2; 30 sentences, 2 documents, none failed'
    """
    fields = signature_fields(str(scores["signature"]))
    parts = [size_words(scores)]
    if "failed" in scores:
        parts.append(f"{scores['failed'] or 'none'} failed")
    if "missing" in fields:
        missing = fields["missing"].split("/")[0]
        parts.append(f"{'none' if missing == '0' else missing} missing")
    return f"{reading_words(str(scores['signature']))}; {', '.join(parts)}"


def size_words(scores: Mapping[str, Any]) -> str:
    """The numbers of sentences and documents, as far as they are known.

    >>> size_words({"sentences": 1, "documents": 1})
    '1 sentence, 1 document'
    """
    known = [(scores[key], key[:-1]) for key in ("sentences", "documents") if scores.get(key) is not None]
    return ", ".join(f"{number:,} {plural(number, word)}" for number, word in known)


_FLIPS = {"label_order": "types in reverse order", "full_stop": "the full stop changed"}


def flip_words(flips: Mapping[str, Mapping[str, Any]]) -> str:
    """How many sentences' mentions change with changes that should not matter.

    >>> one = {"sentences": 200, "changed": 9, "share": 0.045, "failed": 0, "f1": 0.5}
    >>> flip_words({"label_order": one, "full_stop": {**one, "changed": 30, "share": 0.15}})
    'mentions change in 4.5 % of 200 sentences with types in reverse order, in 15.0 % of 200 with the full stop changed'
    """
    parts: list[str] = []
    for name, rates in flips.items():
        sentences = "" if parts else f" {plural(rates['sentences'], 'sentence')}"
        share = "none" if rates["share"] is None else f"{100 * rates['share']:.1f} %"
        parts.append(f"in {share} of {rates['sentences']:,}{sentences} with {_FLIPS[name]}")
    return f"mentions change {', '.join(parts)}"


def too_few(documents: int, wanted: str = "an interval", remedy: str = "use limit_documents=N or all") -> str:
    """Why there is no interval, and what to do; empty if there are enough documents.

    >>> too_few(2)
    'too few documents (2) for an interval: use limit_documents=N or all, at least 10'
    """
    if documents >= LEAST_DOCUMENTS:
        return ""
    return f"too few documents ({documents}) for {wanted}: {remedy}, at least {LEAST_DOCUMENTS}"


def calibration_words(calibration: Mapping[str, Any]) -> str:
    """How far confidences are off, with advice if it is far.

    >>> calibration_words({"ece": 0.425, "entities": 12})
    'confidences of 12 predicted mentions are off by .42 on average: do not use them yet'
    >>> calibration_words({"ece": 0.05, "entities": 90, "ece_by_chance": 0.04, "auroc": 0.8})
    'confidences of 90 predicted mentions are off by .05 on average (by chance: .04), and order 80 % of right and wrong ones'
    """
    error, number = float(calibration["ece"]), int(calibration["entities"])
    off = f"{_two_decimals(error)} on average"
    if calibration.get("ece_by_chance") is not None:
        off += f" (by chance: {_two_decimals(calibration['ece_by_chance'])})"
    advice = ": do not use them yet" if error > _BAD_CALIBRATION else ""
    order = (
        f", and order {100 * calibration['auroc']:.0f} % of right and wrong ones" if calibration.get("auroc") is not None else ""
    )
    return f"confidences of {number:,} {plural(number, 'predicted mention')} are off by {off}{order}{advice}"


def confidence_words(confidence: float) -> str:
    """A confidence with two decimals, which are never those of a certainty.

    >>> confidence_words(0.926), confidence_words(0.9958), confidence_words(1.0), confidence_words(0.001)
    ('.93', '>.99', '>.99', '<.01')
    """
    if confidence >= 0.995:
        return ">.99"
    return "<.01" if confidence < 0.005 else _two_decimals(confidence)


def _two_decimals(value: float) -> str:
    """
    >>> _two_decimals(0.125), _two_decimals(1.0)
    ('.12', '1.00')
    """
    return f"{value:.2f}".removeprefix("0")


def p_words(p_value: float | None) -> str:
    """A p-value with four decimals; "-" if there is none.

    >>> p_words(0.03), p_words(0.00001), p_words(None)
    ('.0300', '<.0001', '-')
    """
    if p_value is None:
        return "-"
    return "<.0001" if p_value < 0.00005 else f"{p_value:.4f}".removeprefix("0")
