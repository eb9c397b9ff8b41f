import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/svelte';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import App from './App.svelte';
import type { Benchmark, CardState, Status, Unread } from './lib/backend/bindings';
import { benchmark, Demo, sampleImage, sampleMessage, samplePicture, samplePrivacy, sampleReason, sampleStatus, sampleWallet, statusAt, type Scene } from './lib/backend/demo';
import { Present } from './lib/present.svelte';

// happy-dom has no layout and draws nothing; the page must stand without both.
beforeAll(() => {
  globalThis.ResizeObserver ??= class {
    observe() {}
    unobserve() {}
    disconnect() {}
  };
  Element.prototype.scrollIntoView ??= () => {};
});
afterEach(cleanup);

function open(scene: Scene = {}): Demo {
  const demo = new Demo(scene);
  render(App, { present: new Present(demo) });
  return demo;
}
const commands = (demo: Demo) => demo.asked.map((command) => command.command);
const at = (testid: string) => screen.findByTestId(testid);

describe('Home', () => {
  it('says the state, why, and what today brought after electricity', async () => {
    open();
    expect((await at('state')).textContent).toBe('Sharing');
    expect((await at('why')).textContent).toContain('Touch the mouse');
    expect((await at('today')).textContent).toContain('+0.1840 EMBER');
    expect((await at('slices')).textContent).toBe('41 of 64 slices searched');
    expect((await at('found')).textContent).toContain('246 times above the noise');
  });

  it('shows the image that a rendering makes, and says what is there of it', async () => {
    open({ status: statusAt('rendering'), picture: { kind: 'image', ...sampleImage(29) } });
    expect((await at('work-purpose')).textContent).toBe('Computing a picture, tile by tile');
    expect((await at('tiles')).textContent).toBe('29 of 64 tiles from this home');
    expect(screen.getByRole('img').getAttribute('aria-label')).toContain('512 by 512 pixels');
    await fireEvent.click(await at('job-facts'));
    expect((await at('facts')).textContent).toContain('rendering');
    expect((await at('tiles')).textContent).toBe('29 of 64 tiles from this home');
  });

  it('never shows the picture of other work', async () => {
    open({ status: statusAt('rendering'), picture: { kind: 'waterfall', ...samplePicture() } });
    expect((await at('picture')).textContent).toBe('The picture appears with the first finished tile.');
  });

  it('says in a sentence that a matrix product has no picture', async () => {
    open({ status: statusAt('matrix_product'), picture: null });
    expect((await at('no-picture')).textContent).toContain('29 of 64 blocks are done');
    expect(screen.queryByTestId('picture')).toBeNull();
  });

  it('snoozes at once and offers to resume', async () => {
    const demo = open();
    await fireEvent.click(await at('snooze-hour1'));
    expect(demo.asked.at(-1)).toEqual({ command: 'snooze', span: 'hour1' });
    expect((await at('state')).textContent).toBe('Paused');
    await fireEvent.click(await at('resume'));
    await waitFor(async () => expect((await at('state')).textContent).toBe('Sharing'));
  });

  it('opens every length of a snooze and closes with Escape', async () => {
    open();
    await fireEvent.click(await at('snooze-other'));
    const menu = await at('snooze-menu-until_resume');
    await fireEvent.keyDown(menu, { key: 'Escape' });
    await waitFor(() => expect(screen.queryByTestId('snooze-menu-until_resume')).toBeNull());
  });

  it('lists every reason with what ends it, and the rule where the owner has one', async () => {
    const reasons = [sampleReason('gpu_hot', { seen: 81, limit: 75 }), sampleReason('system_sleep')];
    open({ status: sampleStatus('paused', reasons) });
    expect((await at('why')).textContent).toContain('81\u00a0°C');
    expect((await at('reasons')).textContent).toContain('below 75\u00a0°C');
    expect(screen.queryByTestId('rule-system_sleep')).toBeNull();
    await fireEvent.click(await at('rule-gpu_hot'));
    await waitFor(async () => expect(document.activeElement).toBe(await at('set-celsius')));
  });

  it('answers "why not now?" with every rule, and asks only while somebody looks', async () => {
    const demo = open({ status: sampleStatus('paused', [sampleReason('user_active', { limit: 2 })]) });
    const panel = (await at('why-not')) as HTMLDetailsElement;
    expect(demo.asked.some((command) => command.command === 'checks')).toBe(false);
    panel.open = true;
    await fireEvent(panel, new Event('toggle'));
    expect((await at('check-gpu_hot')).textContent).toContain('yes, 61\u00a0°C; it is held at 75\u00a0°C');
    expect((await at('check-user_active')).textContent).toContain('Somebody is using this computer');
    expect((await at('check-fullscreen_app')).textContent).toContain('nothing on this computer tells it');
    expect((await at('check-cpu_busy')).textContent).toContain('you turned this rule off');
    expect(demo.asked.some((command) => command.command === 'checks')).toBe(true);
  });

  it('says that the card works gently while somebody is here, or to stay cool', async () => {
    const light = sampleStatus();
    open({ status: { ...light, card: { ...light.card, duty_percent: 15, light: true } } });
    expect((await at('why')).textContent).toContain('15\u00a0% of the time only');
    expect(screen.queryByTestId('cooling')).toBeNull();
    expect(screen.queryByTestId('why-not')).toBeNull();
  });

  it('says how much of the time a warm card works', async () => {
    const warm = sampleStatus();
    open({ status: { ...warm, card: { ...warm.card, duty_percent: 45 } } });
    expect((await at('cooling')).textContent).toContain('45\u00a0% of the time');
  });

  it('explains a zero by the one thing that is missing', async () => {
    const zero = { unit: 'EMBER', paid: '0', electricity: null, net: null };
    open({ status: { ...sampleStatus('waiting', [sampleReason('no_work')]), today: zero, work: null } });
    expect((await at('state')).textContent).toBe('Ready, but there is no paid work');
    expect((await at('page-home')).textContent).toContain('Hearth does not invent work');
    expect(screen.queryByTestId('picture')).toBeNull();
  });

  it('shows a failure in words with its code', async () => {
    open({ failures: { snooze: { code: 'busy', detail: 'x' } } });
    await fireEvent.click(await at('snooze-hour1'));
    expect((await at('failure')).textContent).toContain('Code: busy');
  });

  it('lets only the state speak up', async () => {
    open();
    await at('state');
    const live = [...document.querySelectorAll('[aria-live]')];
    expect(live).toHaveLength(1);
    expect(live[0]?.textContent).toContain('Sharing');
  });
});

describe('without an agent', () => {
  it('says so, and goes on by itself once there is one', async () => {
    open({ connection: { state: 'absent' } });
    expect((await at('no-agent')).textContent).toContain('Hearth is not running');
  });
  it('names another build', async () => {
    open({ connection: { state: 'refused', code: 'other_build' } });
    expect((await at('no-agent')).textContent).toContain('different builds');
  });
});

describe('Welcome', () => {
  const fresh = () => ({ ...sampleStatus('waiting', [sampleReason('not_welcomed')]), welcomed: false, benchmark: null });

  it('takes three clicks, measures by itself and asks nothing twice', async () => {
    const demo = open({ status: fresh() });
    await fireEvent.click(await at('welcome-continue'));
    expect(commands(demo)).toContain('measure');
    await fireEvent.click(await at('welcome-continue'));
    await fireEvent.click(await at('welcome-finish'));
    await waitFor(() => expect(demo.asked).toContainEqual({ command: 'finish_welcome', autostart: true }));
    expect(commands(demo)).not.toContain('open_vault');
    expect(commands(demo)).not.toContain('share_now');
  });

  it('opens the vault for a wallet that is wanted now', async () => {
    const demo = open({ status: fresh() });
    await fireEvent.click(await at('welcome-continue'));
    await fireEvent.click(await at('welcome-continue'));
    await fireEvent.click(await at('wallet-now'));
    await fireEvent.click(await at('welcome-share-now'));
    await fireEvent.click(await at('welcome-finish'));
    await waitFor(() => expect(demo.asked).toContainEqual({ command: 'open_vault', purpose: { purpose: 'create' } }));
    expect(commands(demo)).toContain('share_now');
  });

  it('goes back', async () => {
    open({ status: fresh() });
    await fireEvent.click(await at('welcome-continue'));
    await fireEvent.click(await at('welcome-back'));
    await at('page-welcome-1');
  });
});

describe('the measurement', () => {
  const settings = async (status: Status) => {
    open({ status });
    await fireEvent.click(await at('nav-settings'));
    return at('measured');
  };
  const of = (part: Partial<Benchmark>) => ({ ...sampleStatus(), benchmark: { ...benchmark, ...part } });

  it('says what each figure means', async () => {
    const shown = await settings(of({}));
    expect(shown.textContent).toContain('12,740\u00a0GFLOP/s');
    expect(shown.textContent).toContain('It held 97\u00a0% of its best speed over 3 seconds');
    expect((await at('measured-celsius')).textContent).toContain('Before: 44\u00a0°C');
    expect((await at('measured-throttle')).textContent).toContain('its power limit');
  });

  it('shows what could not be read as unknown, each with its reason', async () => {
    const unknown = (why: Unread): CardState => ({
      celsius: { unknown: why }, watts: { unknown: why }, memory: { unknown: why }, throttles: { unknown: why },
    });
    await settings(of({ held: { share_percent: 80, seconds: 3, before: unknown('lost'), at_end: unknown('lost') } }));
    for (const id of ['measured-celsius', 'measured-watts', 'measured-throttle']) {
      const line = await at(id);
      expect(line.textContent).toContain('unknown');
      expect(line.textContent).toContain('does not answer');
    }
    expect(screen.queryByTestId('measured-card_memory')).toBeNull();
  });

  it('names a software renderer as one, counts nothing and shows no sensors', async () => {
    const adapter = { ...benchmark.adapter!, name: 'llvmpipe', software: true, features: [] };
    await settings(of({ adapter, half: null }));
    expect((await at('measured-software')).textContent).toContain('do not count');
    expect((await at('measured-half')).textContent).toContain('not offered');
    expect(screen.queryByTestId('measured-celsius')).toBeNull();
  });

  it('leaves out what is not measured yet', async () => {
    await settings(of({ running: 'memory', memory: null, held: null, to_card_gbytes: null, from_card_gbytes: null, dispatch_micros: null }));
    expect(screen.queryByTestId('measured-memory')).toBeNull();
    expect(screen.queryByTestId('measured-held')).toBeNull();
    await at('measured-float');
  });
});

describe('Wallet', () => {
  async function wallet(scene: Scene = {}) {
    const demo = open(scene);
    await fireEvent.click(await at('nav-wallet'));
    return demo;
  }

  it('shows an identity that adds up', async () => {
    await wallet();
    const figures = [...(await at('identity')).querySelectorAll('dd')].map((node) => Number(node.textContent));
    const [earned = 0, ...rest] = figures;
    expect(rest.reduce((total, figure) => total + figure, 0)).toBeCloseTo(earned, 9);
  });

  it('shows exactly what arrives before the vault opens for just that quote', async () => {
    const demo = await wallet();
    await fireEvent.input(await at('withdraw-to'), { target: { value: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8' } });
    await fireEvent.input(await at('withdraw-amount'), { target: { value: '5' } });
    expect(screen.queryByTestId('withdraw-review')).toBeNull();
    await fireEvent.click(await at('withdraw-price'));
    expect((await at('arrives')).textContent).toContain('4.9969');
    await fireEvent.click(await at('withdraw-review'));
    expect(demo.asked).toContainEqual({ command: 'open_vault', purpose: { purpose: 'withdraw', quote: '9c41e07d' } });
  });

  it('drops the price when recipient or amount change', async () => {
    await wallet();
    await fireEvent.input(await at('withdraw-to'), { target: { value: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8' } });
    await fireEvent.click(await at('withdraw-price'));
    await at('quote');
    await fireEvent.input(await at('withdraw-amount'), { target: { value: '6' } });
    expect(screen.queryByTestId('quote')).toBeNull();
  });

  it('says what is wrong with an address', async () => {
    await wallet({ failures: { quote: { code: 'address_checksum', detail: '' } } });
    await fireEvent.input(await at('withdraw-to'), { target: { value: '0x1' } });
    await fireEvent.click(await at('withdraw-price'));
    expect((await at('failure')).textContent).toContain('typing error');
  });

  it('offers to create or restore where there is none, and never to create over one that cannot be read', async () => {
    const none = { ...sampleWallet(), brief: 'unreadable' as const, balance: null, address: null };
    await wallet({ wallet: none });
    await at('wallet-restore');
    expect(screen.queryByTestId('wallet-create')).toBeNull();
  });

  it('asks for no passphrase anywhere in the page', async () => {
    await wallet();
    await at('withdraw');
    expect(document.querySelector('input[type="password"]')).toBeNull();
  });
});

describe('Earnings', () => {
  it('opens a day into its receipts and saves the statement', async () => {
    const demo = open();
    await fireEvent.click(await at('nav-earnings'));
    expect((await at('earnings-sum')).textContent).toContain('+1.1692');
    expect((await at('days')).querySelectorAll('tbody tr')).toHaveLength(7);
    expect((await at('receipts')).textContent).toContain('Signal search, 64 slices');
    await fireEvent.click(await at('save-statement'));
    expect((await at('save-statement-path')).textContent).toContain('hearth-statement.json');
    expect(demo.saved).toHaveLength(1);
  });
});

describe('Privacy', () => {
  async function privacy(scene: Scene = {}) {
    const demo = open(scene);
    await fireEvent.click(await at('nav-privacy'));
    await at('purposes');
    return demo;
  }
  const asked = (demo: Demo) => demo.asked.filter((command) => command.command === 'privacy').at(-1) as { from_at: number; until_at: number | null };

  it('names each purpose and saves the journal in both forms', async () => {
    const demo = await privacy();
    expect((await at('purposes')).textContent).toContain('Results of work');
    expect((await at('purposes')).textContent).toContain('21,306,448');
    expect((await at('latest')).textContent).toContain('at most');
    await fireEvent.click(await at('save-csv'));
    await at('save-csv-path');
    await fireEvent.click(await at('save-json'));
    await at('save-json-path');
    expect(demo.asked.filter((command) => command.command === 'journal')).toEqual([
      { command: 'journal', format: 'csv' }, { command: 'journal', format: 'json' },
    ]);
  });

  it("shows the system's own count beside ours, and what it leaves out", async () => {
    await privacy();
    expect((await at('ours')).textContent).toBe('25,227,500 bytes');
    expect((await at('system')).textContent).toBe('25,227,500 bytes');
    expect((await at('difference')).textContent).toBe('0 bytes');
    expect((await at('missing')).textContent).toContain('1 sending of 5,000 bytes is not compared');
    expect((await at('underway')).textContent).toContain('still goes on');
    expect(screen.queryByTestId('differing')).toBeNull();
  });

  it('hides no difference, not even one that cancels out', async () => {
    const page = samplePrivacy();
    await privacy({ privacy: { ...page, system: { ...page.system, differing: 2 } } });
    expect((await at('difference')).textContent).toBe('0 bytes');
    expect((await at('differing')).textContent).toContain('In 2 sendings the two counts differ');
  });

  it('says so where the system has no counter, and shows no figure for it', async () => {
    const page = samplePrivacy();
    await privacy({ privacy: { ...page, system: { ...page.system, counter: 'none', counted: 0, sent_bytes: 0, ours_sent_bytes: 0 } } });
    expect((await at('witnessed')).textContent).toContain('none on this system');
    expect(screen.queryByTestId('difference')).toBeNull();
    expect((await at('witnessed')).textContent).toContain('25,232,500 bytes');
  });

  it('puts the same total together by destination, job and publisher', async () => {
    await privacy();
    for (const [by, text] of [['destination', 'rpc.hearth.example'], ['job', 'Signal search'], ['publisher', 'Open Sky Archive']] as const) {
      await fireEvent.click(await at(`by-${by}`));
      expect((await at(`sums-${by}`)).textContent).toContain(text);
    }
    await fireEvent.click(await at('by-job'));
    expect((await at('sums-job')).textContent).toContain('For no job');
    expect((await at('sums-job')).textContent).toContain('name has not been read (12ab90ff)');
  });

  it('goes back day by day and shows all that is kept', async () => {
    const demo = await privacy();
    expect(asked(demo).until_at).toBeNull();
    const today = asked(demo).from_at;
    await fireEvent.click(await at('day-before'));
    await waitFor(() => expect(asked(demo).until_at).toBe(today));
    expect(asked(demo).from_at).toBeLessThan(today);
    expect((await at('day')).textContent).toBe('Yesterday');
    await fireEvent.click(await at('range-all'));
    await waitFor(() => expect(asked(demo)).toMatchObject({ from_at: 0, until_at: null }));
    expect(screen.queryByTestId('day')).toBeNull();
  });

  it('reads the counts again while one looks', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const demo = open();
      const reads = () => demo.asked.filter((command) => command.command === 'privacy').length;
      await fireEvent.click(await at('nav-privacy'));
      await at('purposes');
      const before = reads();
      await vi.advanceTimersByTimeAsync(1_900);
      expect(reads()).toBe(before);
      await vi.advanceTimersByTimeAsync(200);
      expect(reads()).toBe(before + 1);
    } finally {
      vi.useRealTimers();
    }
  });

  it('shows a message word for word, copies and saves all of it, and closes', async () => {
    const demo = await privacy();
    const written: string[] = [];
    Object.defineProperty(navigator, 'clipboard', { configurable: true, value: { writeText: async (text: string) => void written.push(text) } });
    await fireEvent.click(await at('look-3376'));
    expect(demo.asked.at(-1)).toEqual({ command: 'sent_message', row: 3376 });
    expect((await at('look-request')).textContent).toContain('POST /v1/heartbeat HTTP/1.1');
    expect((await at('look-words')).textContent).toContain('"wants_work": true');
    expect((await at('look-bytes')).textContent).toMatch(/^00000 {2}50 4f 53 54/);
    await fireEvent.click(await at('look-copy'));
    await waitFor(async () => expect((await at('look-told')).textContent).toBe('Copied.'));
    await fireEvent.click(await at('look-save'));
    await waitFor(async () => expect((await at('look-told')).textContent).toContain('hearth-message-3376.txt'));
    expect(demo.saved.at(-1)?.text).toBe(written[0]);
    expect(written[0]).toContain('50 4f 53 54');
    await fireEvent.click(await at('look-close'));
    await waitFor(() => expect(screen.queryByTestId('look-inside')).toBeNull());
  });

  it('says when a message is no longer kept, and when only its size and hash are', async () => {
    await privacy({ message: null });
    await fireEvent.click(await at('look-3377'));
    await at('look-gone');
    cleanup();
    await privacy({ message: { ...sampleMessage(), readable: null, notation: 'bytes', body_kept: false, body_bytes: 1_000_000 } });
    await fireEvent.click(await at('look-3377'));
    expect((await at('look-long')).textContent).toContain('1.00\u00a0MB');
  });

  it('shows hostile text as text', async () => {
    const page = samplePrivacy();
    const hostile = '<img src=x onerror="alert(1)">';
    const [first, ...rest] = page.latest;
    await privacy({ privacy: { ...page, latest: [{ ...first!, object: hostile, destination: hostile }, ...rest] } });
    expect((await at('latest')).textContent).toContain(hostile);
    expect((await at('latest')).querySelector('img')).toBeNull();
  });

  it('deletes the history only after saying what that does and does not do', async () => {
    const demo = await privacy();
    await fireEvent.click(await at('delete-history'));
    expect((await at('delete-ask')).textContent).toContain('What was sent stays sent');
    await waitFor(async () => expect(document.activeElement).toBe(await at('delete-keep')));
    await fireEvent.keyDown(await at('delete-ask'), { key: 'Escape' });
    await waitFor(async () => expect(document.activeElement).toBe(await at('delete-history')));
    expect(commands(demo)).not.toContain('delete_history');
    await fireEvent.click(await at('delete-history'));
    await fireEvent.click(await at('delete-yes'));
    await at('delete-told');
    expect(commands(demo)).toContain('delete_history');
    await waitFor(() => expect(demo.asked.at(-1)?.command).toBe('privacy'));
  });

  it('says what others can learn and what is stored, for how long', async () => {
    await privacy();
    const learn = (await at('learn')).textContent ?? '';
    for (const who of ['The coordinator', 'Other homes', 'Publishers', 'Chain nodes', 'Anyone', 'Your internet provider']) expect(learn).toContain(who);
    expect((await at('stored')).textContent).toContain('The latest 64 are kept');
    expect((await at('stored')).textContent).toContain('until you delete it');
  });
});

describe('Work', () => {
  it('shows the facts label and only walls that hold as closed', async () => {
    const status = sampleStatus();
    status.card.confinement = { files: 'full', network: 'none', processes: 'full', memory: 'partial', parent: 'full' };
    open({ status });
    await fireEvent.click(await at('nav-work'));
    expect((await at('facts')).textContent).toContain('Open Sky Archive');
    expect((await at('facts')).textContent).not.toContain('no access');
    expect((await at('walls')).textContent).toContain('not shut on this system');
  });
});

describe('Settings', () => {
  async function settings(scene: Scene = {}) {
    const demo = open(scene);
    await fireEvent.click(await at('nav-settings'));
    await at('set-enabled');
    return demo;
  }

  it('applies each change at once', async () => {
    const demo = await settings();
    await fireEvent.click(await at('set-battery'));
    expect(demo.preferences.on_battery).toBe(true);
    await fireEvent.change(await at('set-price'), { target: { value: '0,31' } });
    expect(demo.preferences.electricity_milli_per_kwh).toBe(310);
  });

  it('puts text back that is no value', async () => {
    const demo = await settings();
    const input = (await at('set-price')) as HTMLInputElement;
    await fireEvent.change(input, { target: { value: 'cheap' } });
    expect(input.value).toBe('0.28');
    expect(commands(demo)).not.toContain('set_preferences');
  });

  it('takes a refused change back and says why', async () => {
    await settings({ failures: { set_preferences: { code: 'preference', detail: 'max_celsius' } } });
    const battery = (await at('set-battery')) as HTMLInputElement;
    await fireEvent.click(battery);
    expect((await at('failure')).textContent).toContain('out of its range');
    await waitFor(() => expect(battery.checked).toBe(false));
  });

  it('finds a setting by its words and keeps only its group', async () => {
    await settings();
    await fireEvent.input(await at('settings-search'), { target: { value: 'battery' } });
    expect((await at('row-battery')).hidden).toBe(false);
    expect((await at('row-celsius')).hidden).toBe(true);
  });

  it('changes one hour of the week', async () => {
    const demo = await settings();
    const cell = document.querySelector('[data-cell="0-18"]') as HTMLInputElement;
    await fireEvent.click(cell);
    expect(demo.preferences.hours[0]).toBe(0xc1ffff | (1 << 18));
  });

  it('speaks Japanese as soon as it is chosen', async () => {
    await settings();
    await fireEvent.change(await at('set-language'), { target: { value: 'ja' } });
    await waitFor(() => expect(document.documentElement.lang).toBe('ja'));
    expect((await at('nav-home')).textContent).toContain('ホーム');
  });
});

describe('in Japanese', () => {
  it('shows no key and no English of ours on any page', async () => {
    open({ preferences: { ...new Demo().preferences, language: 'ja' }, locale: 'ja-JP' });
    await waitFor(() => expect(document.documentElement.lang).toBe('ja'));
    for (const page of ['home', 'work', 'earnings', 'wallet', 'privacy', 'settings']) {
      await fireEvent.click(await at(`nav-${page}`));
      await at(`page-${page}`);
      await waitFor(() => expect(document.body.textContent).not.toMatch(/\b(the|you|Sharing)\b/));
      expect(document.body.textContent).not.toMatch(/[a-z]+-[a-z_]+(\.[a-z]+)?:/);
    }
  });
});
