// SPDX-License-Identifier: Apache-2.0
// DOM helpers for all parts of the page. Text is only ever set as text, never as HTML.

export const byId = (id) => document.getElementById(id);

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// Replaces the children only if their content has changed, so that focus and selection stay.
export function setChildren(parent, key, makeChildren) {
  if (parent.dataset.key === key) return;
  parent.dataset.key = key;
  parent.replaceChildren(...makeChildren());
}

// Turns a message into a sentence: capital letter, full stop.
export function sentence(text) {
  const trimmed = text.trim();
  if (!trimmed) return "";
  const isName = /^\w*_/.test(trimmed); // page_keyboard stays as it is
  const whole = isName ? trimmed : trimmed[0].toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}

// Is this an input field?
export function writes(element) {
  return Boolean(element.closest?.("input:not([type=range], [type=checkbox]), textarea, select"));
}
