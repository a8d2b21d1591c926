"""The published figures: Tables 2 and 3 of arXiv 2407.00731, precision, recall and F1 by model, strategy and label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Triple = tuple[float, float, float]
_ORDER = ("Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom", "macro")

# Table 3: (model, strategy) -> rows in _ORDER, "Average" being the macro mean
_TABLE_3: dict[tuple[str, str], tuple[Triple, ...]] = {
    ("gpt35", "zero_shot"): (
        (0.1173, 0.3842, 0.1798), (0.5810, 0.2513, 0.3509), (0.1200, 0.0833, 0.0984),
        (0.1314, 0.0844, 0.1028), (0.0305, 0.5882, 0.0580), (0.1960, 0.2783, 0.1580),
    ),
    ("gpt4", "zero_shot"): (
        (0.1993, 0.4377, 0.2739), (0.5767, 0.5761, 0.5764), (0.4762, 0.1389, 0.2151),
        (0.1802, 0.2665, 0.2150), (0.0574, 0.7255, 0.1063), (0.2980, 0.4289, 0.2773),
    ),
    ("medtuned", "zero_shot"): (
        (0.1391, 0.7201, 0.2332), (0.3988, 0.8080, 0.5340), (0.0686, 0.8542, 0.1270),
        (0.1712, 0.3364, 0.2269), (0.0123, 0.4902, 0.0240), (0.1580, 0.6418, 0.2290),
    ),
    ("gpt35", "few_shot"): (
        (0.1871, 0.2723, 0.2218), (0.5615, 0.5512, 0.5563), (0.1231, 0.3958, 0.1878),
        (0.1681, 0.0813, 0.1096), (0.0478, 0.6471, 0.0889), (0.2175, 0.3895, 0.2329),
    ),
    ("gpt4", "few_shot"): (
        (0.2254, 0.2977, 0.2566), (0.6011, 0.5901, 0.5955), (0.2953, 0.3958, 0.3383),
        (0.2749, 0.2500, 0.2619), (0.0900, 0.5490, 0.1547), (0.2973, 0.4165, 0.3214),
    ),
    ("medtuned", "few_shot"): (
        (0.1517, 0.5038, 0.2332), (0.5106, 0.8069, 0.6254), (0.0823, 0.8333, 0.1498),
        (0.1661, 0.3283, 0.2206), (0.0140, 0.5294, 0.0273), (0.1849, 0.6003, 0.2513),
    ),
    ("gpt35", "rag"): (
        (0.1568, 0.2952, 0.2048), (0.6625, 0.4595, 0.5427), (0.1333, 0.0833, 0.1026),
        (0.1586, 0.0607, 0.0807), (0.0420, 0.6078, 0.0786), (0.2306, 0.3013, 0.2033),
    ),
    ("gpt4", "rag"): (
        (0.2211, 0.3995, 0.2847), (0.6552, 0.5534, 0.6000), (0.7419, 0.1597, 0.2629),
        (0.2263, 0.2037, 0.2144), (0.0482, 0.7451, 0.0906), (0.3785, 0.4123, 0.2905),
    ),
    ("medtuned", "rag"): (
        (0.1410, 0.6412, 0.2312), (0.4813, 0.7918, 0.5987), (0.0886, 0.7986, 0.1595),
        (0.0955, 0.0802, 0.0872), (0.0173, 0.4314, 0.0314), (0.1645, 0.5486, 0.2216),
    ),
}  # fmt: skip

# Table 2: zero-shot, Disease and RareDisease only
_TABLE_2: dict[str, tuple[Triple, Triple]] = {
    "llama2": ((0.0564, 0.0149, 0.0219), (0.3548, 0.1066, 0.1494)),
    "meditron": ((0.0586, 0.0242, 0.0318), (0.3409, 0.1493, 0.1877)),
    "universalner": ((0.1544, 0.0731, 0.0936), (0.5493, 0.1634, 0.2267)),
}

Cell = tuple[str, str]
FINE_TUNED = "fine_tuned"
TABLES: dict[str, tuple[Cell, ...]] = {
    "table2": tuple((model, "zero_shot") for model in ("llama2", "meditron", "universalner", "medtuned", "gpt35", "gpt4")),
    "table3": tuple((model, how) for how in ("zero_shot", "few_shot", "rag") for model in ("gpt35", "gpt4", "medtuned")),
    "figure3": (
        ("bioclinicalbert", FINE_TUNED),
        ("medtuned", "zero_shot"),
        ("medtuned", "few_shot"),
        ("medtuned", FINE_TUNED),
        ("gpt4", "zero_shot"),
        ("gpt4", "few_shot"),
    ),
}
"""The cells of the paper's tables, each a model and a strategy. For the fine-tuned models, Figure 3 has bars without figures."""


def figures(table: str, cell: Cell) -> dict[str, Triple]:
    """The published figures of a cell by label and `macro`: two labels in Table 2, none for a cell without printed figures.

    >>> list(figures("table2", ("gpt4", "zero_shot"))), figures("figure3", ("medtuned", "fine_tuned"))
    (['Disease', 'RareDisease'], {})
    """
    model, strategy = cell
    rows: tuple[Triple, ...] = _TABLE_3.get(cell, ())
    if not rows and strategy == "zero_shot":
        rows = _TABLE_2.get(model, ())
    shown = _ORDER[:2] if table == "table2" else _ORDER
    return dict(zip(shown, rows, strict=False))


def published(record: dict[str, Any]) -> dict[str, Triple] | None:
    """The paper's figures for a run, by label and `macro`, if the run is one of its cells.

    A cell is a model and a strategy of the paper on the RareDis test split with the paper's prompting: the
    line format, hand-written labels, all sentences, and passages from articles of one's own.
    """
    chosen, config = record.get("choices", {}), record.get("config", {})
    limited = config.get("limit") is not None or config.get("limit_documents") is not None
    if chosen.get("corpus") != "raredis" or config.get("split") != "test" or limited:
        return None
    if chosen.get("prompt") != "handwritten" or (chosen.get("format") != "bio_lines" and chosen.get("model") != "universalner"):
        return None
    if (config.get("model") or {}).get("adapter") is not None:
        return None
    if other_knowledge(record):
        return None
    return figures("", (str(chosen.get("model")), str(chosen.get("strategy")))) or None


def other_knowledge(record: Mapping[str, Any]) -> str | None:
    """The knowledge base of a run that retrieves passages, if it is certainly not the paper's: `bundled` or `hpo`.

    >>> rag = {"strategy": {"context": "retrieved"}}
    >>> other_knowledge({"config": {**rag, "retriever": {"knowledge": "bundled"}}})
    'bundled'
    >>> other_knowledge({"config": {**rag, "retriever": {"knowledge": "articles"}}}) is None
    True
    """
    config = record.get("config") or {}
    if (config.get("strategy") or {}).get("context") != "retrieved":
        return None
    knowledge = (config.get("retriever") or {}).get("knowledge") or "bundled"
    return str(knowledge) if knowledge in ("bundled", "hpo") else None
