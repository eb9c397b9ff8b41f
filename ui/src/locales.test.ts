// The catalogue against the page: no key without a use, no use without a key. Parity of the languages and a sentence
// for every code are tests of `words`, where the enums are.

import { describe, expect, it } from 'vitest';
import en from './locales/en.ftl?raw';

const sources = import.meta.glob(['./**/*.svelte', './**/*.ts', '../vault/vault.js', '!./**/*.test.ts'], { query: '?raw', import: 'default', eager: true }) as Record<string, string>;
const text = Object.values(sources).join('\n');

/** Keys made from a code, or read by the agent in Rust. */
const BY_CODE = [
  'state-', 'reason-', 'snooze-', 'error-', 'purpose-', 'nav-', 'span-', 'family-', 'credit-', 'no_work-', 'withdrawal-',
  'range-', 'appearance-', 'language-', 'step-', 'wall-', 'identity-', 'set-', 'welcome-', 'wallet-', 'vault-', 'work-title-',
  'work-purpose-', 'tray-', 'terminal-', 'measured-', 'throttle-', 'unread-', 'check-', 'verdict-',
];
const ids = [...en.matchAll(/^([a-z][a-z0-9_-]*) =/gm)].map((match) => match[1] ?? '');

describe('the catalogue', () => {
  it('has each key once', () => {
    expect(ids.length).toBeGreaterThan(300);
    expect(new Set(ids).size).toBe(ids.length);
  });
  it('has a sentence for each key that the page names', () => {
    const named = [...text.matchAll(/\bt\('([a-z][a-zA-Z0-9_.-]*)'/g)].map((match) => match[1] ?? '');
    expect(named.length).toBeGreaterThan(150);
    expect(named.filter((key) => !ids.includes(key.split('.')[0] ?? ''))).toEqual([]);
  });
  it('holds no key that nobody uses', () => {
    const unused = ids.filter((id) => !BY_CODE.some((prefix) => id.startsWith(prefix)) && !text.includes(`'${id}'`) && !text.includes(`'${id}.`));
    expect(unused).toEqual([]);
  });
});
