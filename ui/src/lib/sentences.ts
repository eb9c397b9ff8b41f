// Sentences about the present: the same keys and values as `words` uses for tray and terminal.

import { amount } from './amounts';
import type { Check, LocalError, Money, Reason, Status, Work } from './backend/bindings';
import { megahertz, drift, moment, span } from './figures';
import { has, t, type Values } from './words.svelte';

function reasonValues(reason: Reason, now: number): Values {
  return {
    since: moment(reason.since_at, now),
    ends: reason.ends_at === null ? 'none' : moment(reason.ends_at, now),
    seen: reason.seen === null ? 'none' : String(reason.seen),
    limit: reason.limit === null ? 'none' : String(reason.limit),
    subject: reason.subject ?? 'none',
  };
}

export function reasonName(reason: Reason): string {
  return t(`reason-${reason.code}`);
}

export function reasonWhy(reason: Reason, now: number): string {
  return t(`reason-${reason.code}.why`, reasonValues(reason, now));
}

export function reasonEnds(reason: Reason, now: number): string {
  return t(`reason-${reason.code}.ends`, reasonValues(reason, now));
}

/** What a person can do about a reason, where there is something. */
export function reasonDo(reason: Reason): string | null {
  const key = `reason-${reason.code}.do`;
  return has(key) ? t(key) : null;
}

export function stateTitle(status: Status): string {
  const headline = status.reasons[0];
  if (status.state === 'waiting' && headline) return t(`reason-${headline.code}.ready`);
  return t(`state-${status.state}.title`);
}

export function stateShort(status: Status): string {
  return t(`state-${status.state}`);
}

/** Why the state is what it is: the first reason where one speaks, else the state's own sentence. */
export function stateWhy(status: Status, now: number): string {
  const headline = status.reasons[0];
  const spoken = status.state === 'paused' || status.state === 'waiting' || status.state === 'attention';
  if (spoken && headline) return reasonWhy(headline, now);
  if (status.state === 'sharing' && status.card.light) return t('state-sharing.light', { percent: status.card.duty_percent ?? 0 });
  return t(`state-${status.state}.why`, {
    since: moment(status.since_at, now),
    span: span(now - status.since_at),
  });
}

/** What a rule asks for, as a line of "why not now?". */
export function checkLabel(check: Check): string {
  const key = `check-${check.code}`;
  return has(key) ? t(key) : t(`reason-${check.code}`);
}

/** How the rule stands: why it holds, or the figure seen, or why nothing is known. */
export function checkDetail(check: Check, now: number): string {
  if (check.reason) return reasonWhy(check.reason, now);
  const verdict = t(`verdict-${check.verdict}`);
  const key = `check-${check.code}.figure`;
  if (check.verdict !== 'clear' || check.seen === null || check.limit === null || !has(key)) return verdict;
  return `${verdict}, ${t(key, { seen: check.seen, limit: check.limit })}`;
}

/** What counts as today's sum: after electricity where that is known. */
export function netOf(money: Money): string {
  return money.net ?? money.paid;
}

export function signedNet(money: Money): string {
  return amount(netOf(money), { signed: true });
}

export function hitsSentence(status: Status): string | null {
  const work = status.work;
  if (!work || work.family !== 'signal_search') return null;
  const strongest = [...work.hits].sort((a, b) => b.snr_milli - a.snr_milli)[0];
  if (!strongest) return t('hits-none');
  return t('hits-found', {
    count: work.hits.length,
    frequency: megahertz(strongest.frequency_hz),
    drift: drift(strongest.drift_micro_hz_s),
  });
}

/** Title of the work: the house's own word for its flagship, else the publisher's. */
export function workTitle(work: Work): string {
  const key = `work-title-${work.family}`;
  return has(key) ? t(key) : work.title;
}

/** What the work is for, in the same manner. */
export function workPurpose(work: Work): string {
  const key = `work-purpose-${work.family}`;
  return has(key) ? t(key) : work.purpose;
}

export function errorSentence(error: LocalError): string {
  return t(`error-${error.code}`);
}
