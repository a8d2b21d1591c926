"use strict";
// What is embedded in the page, read once each when first asked for, and elements made of text alone.

const blocks = new Map();

function block(name) {
  if (!blocks.has(name)) {
    const holder = document.getElementById(name);
    blocks.set(name, holder ? JSON.parse(holder.textContent) : null);
  }
  return blocks.get(name);
}

const byId = (name) => document.getElementById(name);

// An element; children are elements or become text, never markup.
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Flat lists of numbers, `width` a row.
function rowsOf(flat, width) {
  const rows = [];
  for (let i = 0; i < flat.length; i += width) rows.push(flat.slice(i, i + width));
  return rows;
}

const goldSpans = (group, n) => rowsOf(group.gold[n], 3).map(([label, start, end]) => ({ label, start, end }));

// Predicted spans of a sentence, each with its error if it has one.
function predSpans(run, n) {
  const spans = rowsOf(run.pred[n], 4).map(([label, start, end, c]) => ({ label, start, end, confidence: c < 0 ? null : c / 1000 }));
  for (const [kind, , pred] of rowsOf(run.errors[n], 3)) if (pred >= 0) spans[pred].kind = kind;
  return spans;
}

const labelName = (group, label) => (label < 0 ? "unknown type" : group.labels[label]);

// The text before token i of a sentence, or after its last token; the first gap begins at the end of the sentence before it.
const gapOf = (group, n, i) => group.gaps?.[n][i] ?? (i === 0 || i === group.tokens[n].length ? "" : " ");

const textOf = (group, n) => group.tokens[n].map((token, i) => (i ? gapOf(group, n, i) : "") + token).join("");

const words = (group, n, span) => group.tokens[n].slice(span.start, span.end).join(" ");

const shownConfidence = (value) => (value === null ? "" : value >= 0.995 ? ">.99" : value < 0.005 ? "<.01" : value.toFixed(2).replace(/^0/, ""));

const isRight = (run, n) => run.errors[n].length === 0;
