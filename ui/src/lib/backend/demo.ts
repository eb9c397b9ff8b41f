// A scripted agent for component tests and for looking at the page in a plain browser. It never ships: `main.ts` only
// reaches it outside production builds.

import type { Backend, Connection, Listener } from './backend';
import type {
  Answer, Benchmark, Check, Command, Earnings, EarningsDay, Image, LocalError, Picture, Preferences, Privacy, Quote, Reason, SentMessage, State, Status,
  WalletView, Waterfall, Work,
} from './bindings';

export const NOW = Date.UTC(2026, 10, 17, 22, 22, 0);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export function samplePicture(done = 41): Waterfall {
  const columns = 360;
  const rows = 16;
  // A fixed sequence: the picture is the same in each test.
  let seed = 42;
  const noise = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return 62 + (seed % 23);
  };
  const cells = new Uint8Array(columns * rows);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const away = Math.abs(column - (186 - (row * 38) / 15));
      cells[row * columns + column] = away < 1.2 ? 245 : away < 2.5 ? 190 : away < 4 ? 100 : noise();
    }
  }
  return {
    columns,
    rows,
    levels: btoa(String.fromCharCode(...cells)),
    left_hz: 8_419_296_500,
    right_hz: 8_419_297_500,
    span_millis: 292_000,
    mark: { hit: { frequency_hz: 8_419_297_028, drift_micro_hz_s: -373_000, snr_milli: 245_700 }, first_column: 186, last_column: 148 },
    searched: Array.from({ length: done }, (_, index) => ({
      left_hz: 8_419_253_000 + index * 1_422,
      right_hz: 8_419_253_000 + (index + 1) * 1_422,
      levels: Array.from({ length: 6 }, (_, at) => (index === 30 && at === 3 ? 250 : index === 15 && at === 1 ? 140 : 40 + (noise() % 3))),
      hit: index === 30 || index === 15,
    })),
  };
}

/** An image of which the first `done` tiles of a scattered order are there: a ball on a floor, in 64 tiles. */
export function sampleImage(done = 29): Image {
  const side = 128;
  const tile = side / 8;
  const rgba = new Uint8Array(side * side * 4);
  for (let order = 0; order < done; order += 1) {
    const place = (order * 27 + 11) % 64;
    const left = (place % 8) * tile;
    const top = Math.floor(place / 8) * tile;
    for (let row = top; row < top + tile; row += 1) {
      for (let column = left; column < left + tile; column += 1) {
        const [x, y] = [(column - side / 2) / 40, (row - side * 0.45) / 40];
        const inside = 1 - x * x - y * y;
        const light = inside > 0 ? Math.max(0.12, 0.6 * Math.sqrt(inside) - 0.5 * x - 0.45 * y) : row > side * 0.7 ? 0.55 : 0.3;
        const tint = inside > 0 ? [1, 0.52, 0.2] : [0.85, 0.8, 0.72];
        rgba.set([...tint.map((part) => Math.min(255, Math.round(255 * light * part))), 255], (row * side + column) * 4);
      }
    }
  }
  let text = '';
  for (const byte of rgba) text += String.fromCharCode(byte);
  return { columns: side, rows: side, rgba: btoa(text), width: 512, height: 512, tiles_done: done, tiles_total: 64 };
}

export function sampleReason(code: Reason['code'], rest: Partial<Reason> = {}): Reason {
  return { code, since_at: NOW - 5 * MINUTE, ends_at: null, seen: null, limit: null, subject: null, ...rest };
}

export const benchmark: Benchmark = {
  running: null, permille: 1000, finished_at: NOW - HOUR,
  adapter: {
    name: 'NVIDIA GeForce RTX 3060', backend: 'vulkan', driver: 'nvidia 570.86', vendor_id: 0x10de, device_id: 0x2503,
    software: false, max_binding_bytes: 2_147_483_648, memory_bytes: 12_884_901_888, features: ['f16'],
  },
  float: { best: 12_740, median: 12_655, spread_percent: 0.6, runs: 7 },
  integer: { best: 6_380, median: 6_351, spread_percent: 0.4, runs: 7 },
  half: { best: 12_810, median: 12_702, spread_percent: 0.7, runs: 7 },
  memory: { best: 332, median: 329, spread_percent: 0.9, runs: 6 },
  to_card_gbytes: 11.4, from_card_gbytes: 6.2, dispatch_micros: 71,
  held: {
    share_percent: 97.2, seconds: 3.02,
    before: { celsius: { known: 44 }, watts: { known: 18 }, memory: { known: { used_bytes: 1_288_490_189, total_bytes: 12_884_901_888 } }, throttles: { known: [] } },
    at_end: { celsius: { known: 61 }, watts: { known: 168 }, memory: { known: { used_bytes: 1_610_612_736, total_bytes: 12_884_901_888 } }, throttles: { known: ['power_limit'] } },
  },
  rtt_millis: 18.4, up_bits_per_s: 18_000_000, down_bits_per_s: 94_000_000, error: null,
};

export function sampleStatus(state: State = 'sharing', reasons: Reason[] = []): Status {
  const working = state === 'sharing' || state === 'working_offline';
  return {
    at: NOW, network: 'Local network', state, since_at: NOW - 24 * MINUTE, reasons,
    card: {
      sharing: working, adapter: benchmark.adapter,
      confinement: { files: 'full', network: 'full', processes: 'full', memory: 'full', parent: 'full' },
      limit_percent: 80, duty_percent: working ? 80 : null, light: false, watts: working ? 96 : 12, celsius: working ? 61 : 44, bundles_today: 3, slices_today: 173,
      yielded_in_millis: 9.2, yield_p99_millis: 31,
    },
    upload: { reasons: [], sharing: false, measured_bits_per_s: 18_000_000, limit_bits_per_s: 13_500_000 },
    sent_today: { sent_bytes: 21_306_448, received_bytes: 402_113_009 },
    work: {
      title: 'Signal search',
      purpose: 'Looking for narrow radio signals in a telescope recording',
      publisher: 'Open Sky Archive', family: 'signal_search', slices_done: 41, slices_total: 64, slice_permille: 420,
      hits: [
        { frequency_hz: 8_419_297_028, drift_micro_hz_s: -373_000, snr_milli: 245_700 },
        { frequency_hz: 8_419_274_374, drift_micro_hz_s: -392_000, snr_milli: 31_200 },
      ],
      price_per_slice: '0.000175', deadline_at: NOW + 3 * HOUR,
    },
    today: { unit: 'EMBER', paid: '0.321', electricity: '0.137', net: '0.184' },
    snooze: null, benchmark, welcomed: true, notices: [], wallet: 'ready',
  };
}

/** Rules as they stand on a laptop of somebody who just came back: one holds, one is off, one cannot be known. */
export function sampleChecks(): Check[] {
  const check = (code: Check['code'], verdict: Check['verdict'], rest: Partial<Check> = {}): Check => ({ code, verdict, seen: null, limit: null, reason: null, ...rest });
  return [
    check('on_battery', 'clear'), check('power_saver', 'clear'), check('schedule', 'clear'), check('in_call', 'clear'),
    check('exclusive_app', 'holds', { reason: sampleReason('exclusive_app', { subject: 'blender' }) }),
    check('fullscreen_app', 'no_source'), check('screen_kept_on', 'clear'), check('media_playing', 'clear'),
    check('other_user', 'clear'), check('remote_session', 'clear'),
    check('user_active', 'holds', { limit: 2, reason: sampleReason('user_active', { limit: 2 }) }),
    check('gpu_busy', 'clear', { seen: 3, limit: 15 }), check('cpu_busy', 'off'),
    check('gpu_hot', 'clear', { seen: 61, limit: 75 }), check('cpu_hot', 'clear', { seen: 54, limit: 90 }),
    check('metered', 'clear'), check('vpn', 'clear'), check('disk_low', 'clear', { seen: 182_400, limit: 5_000 }), check('at_a_loss', 'clear'),
  ];
}

export const preferences: Preferences = {
  enabled: true, idle_after_seconds: 120, light_percent: 0, card_percent: 80, card_memory_percent: 80, max_celsius: 75,
  max_cpu_celsius: 90, max_other_cpu_percent: 40, on_battery: false, with_power_saver: false, in_calls: false, with_media: false,
  on_metered: false, on_vpn: false,
  exclusive_programs: ['blender', 'obs'],
  hours: [0xc1ffff, 0xc1ffff, 0xc1ffff, 0xc1ffff, 0xc1ffff, 0xffffff, 0xffffff],
  upload_kbits: 0, month_mbytes: 150_000, min_free_disk_mbytes: 5_000, electricity_milli_per_kwh: 280, token_milli: 940,
  watts: null, language: 'en', appearance: 'light', autostart: true,
};

const money = (paid: string, electricity: string, net: string) => ({ unit: 'EMBER', paid, electricity, net });

export function sampleEarnings(): Earnings {
  const figures: [string, string, string][] = [
    ['0.321', '0.137', '0.184'], ['0.2212', '0.0826', '0.1386'], ['0.446', '0.1914', '0.2546'], ['0.4313', '0.183', '0.2483'],
    ['0.1822', '0.0739', '0.1083'], ['0', '0', '0'], ['0.4107', '0.1753', '0.2354'],
  ];
  const days: EarningsDay[] = figures.map(([paid, electricity, net], index) => ({
    date: `2026-11-${17 - index}`,
    shared_seconds: paid === '0' ? 0 : 17_220 - index * 1300,
    money: money(paid, electricity, net),
    final_at: paid === '0' ? null : NOW + (7 - index) * 24 * HOUR,
    receipts: paid === '0' ? [] : [
      { sequence: 25 - index, issued_at: NOW - 10 * MINUTE, matures_at: NOW + 168 * HOUR, kind: 'computed', title: 'Signal search', slices: 64, amount: '0.0112' },
      { sequence: 24 - index, issued_at: NOW - 33 * MINUTE, matures_at: NOW + 168 * HOUR, kind: 'audited', title: 'Signal search', slices: 9, amount: '0.0016' },
    ],
  }));
  return { sum: money('2.0124', '0.8432', '1.1692'), days, no_work: null };
}

const SEARCH = { title: 'Signal search', publisher: 'Open Sky Archive' };

export function samplePrivacy(): Privacy {
  const coordinator = 'coordinator.hearth.example:443';
  return {
    sent_bytes: 25_232_500, received_bytes: 402_113_009,
    system: {
      counter: 'tcp_info', counted: 3_374, ours_sent_bytes: 25_227_500, ours_received_bytes: 402_112_309,
      sent_bytes: 25_227_500, received_bytes: 402_112_309, differing: 0, underway: 1, missing: 1, missing_sent_bytes: 5_000,
    },
    rows: [
      { purpose: 'result', destination: coordinator, sent_bytes: 21_306_448, received_bytes: 88_210, count: 174, message: 3_377 },
      { purpose: 'coordinator', destination: coordinator, sent_bytes: 3_692_336, received_bytes: 1_204_118, count: 2_880, message: 3_376 },
      { purpose: 'chain_rpc', destination: 'rpc.hearth.example:443', sent_bytes: 214_772, received_bytes: 918_002, count: 311, message: null },
      { purpose: 'work_input', destination: coordinator, sent_bytes: 18_944, received_bytes: 399_902_679, count: 12, message: null },
    ],
    destinations: [
      { of: { of: 'destination', destination: coordinator }, sent_bytes: 25_017_728, received_bytes: 401_195_007, count: 3_066 },
      { of: { of: 'destination', destination: 'rpc.hearth.example:443' }, sent_bytes: 214_772, received_bytes: 918_002, count: 311 },
    ],
    jobs: [
      { of: { of: 'job', program: '7be104c9'.repeat(8), name: SEARCH }, sent_bytes: 21_321_014, received_bytes: 399_990_889, count: 184 },
      { of: { of: 'no_job' }, sent_bytes: 3_907_108, received_bytes: 2_122_120, count: 3_191 },
      { of: { of: 'job', program: '12ab90ff'.repeat(8), name: null }, sent_bytes: 4_378, received_bytes: 0, count: 2 },
    ],
    publishers: [
      { of: { of: 'publisher', publisher: 'Open Sky Archive' }, sent_bytes: 21_321_014, received_bytes: 399_990_889, count: 184 },
      { of: { of: 'no_job' }, sent_bytes: 3_907_108, received_bytes: 2_122_120, count: 3_191 },
      { of: { of: 'unknown_publisher' }, sent_bytes: 4_378, received_bytes: 0, count: 2 },
    ],
    hours: Array.from({ length: 23 }, (_, hour) => ({
      at: NOW - (22 - hour) * HOUR,
      sent_bytes: hour < 6 ? 2_100_000 + hour * 160_000 : hour > 20 ? 4_800_000 : hour === 16 ? 610_000 : 41_000,
      received_bytes: 17_000_000,
    })),
    latest: [
      { row: 3_378, at: NOW - 2_000, purpose: 'work_input', destination: coordinator, object: '41f0c2d7'.repeat(8), job: SEARCH, sent_bytes: 171, received_bytes: 9_100_000, witness: { witness: 'underway' }, kept: false },
      { row: 3_377, at: NOW - MINUTE, purpose: 'result', destination: coordinator, object: '/v1/result', job: SEARCH, sent_bytes: 2_318, received_bytes: 212, witness: { witness: 'equal' }, kept: true },
      { row: 3_376, at: NOW - 2 * MINUTE, purpose: 'coordinator', destination: coordinator, object: '/v1/heartbeat', job: null, sent_bytes: 412, received_bytes: 380, witness: { witness: 'equal' }, kept: true },
      { row: 3_375, at: NOW - 3 * MINUTE, purpose: 'coordinator', destination: coordinator, object: '/v1/heartbeat', job: null, sent_bytes: 5_000, received_bytes: 700, witness: { witness: 'estimated' }, kept: false },
    ],
    first_at: NOW - 40 * 24 * HOUR, deleted_at: null, journal_bytes: 14_200_000,
    messages: { count: 64, bytes: 412_000, at_most: 64, at_most_bytes: 4_194_304, body_at_most_bytes: 65_536 },
  };
}

export function sampleMessage(): SentMessage {
  const head = `POST /v1/heartbeat HTTP/1.1
host: coordinator.hearth.example
connection: close
content-length: 412`;
  const readable = `{
  "signer": h'5d2077b30c1e9de04a51c0b8e7f1a6c2d394857610fbead28c3e6b5490f712aa',
  "body": << {
    "coordinator": h'9d04ab7f21f533c08e1972640be15c880a6db74291fe30772b04d96e51a03fc8',
    "sent_at": 1795040400000,
    "holding": [h'7be104c922d091fa'],
    "returned": [],
    "wants_work": true,
    "last_sequence": 24
  } >>
}`;
  const latest = samplePrivacy().latest[2];
  if (!latest) throw new Error('the sample has a third sending');
  const hex = Array.from(`${head}`, (letter) => letter.charCodeAt(0).toString(16).padStart(2, '0')).join('');
  return { sending: latest, head, body_bytes: 412, body_hash: '1f8e60b2'.repeat(8), readable, notation: 'cbor', hex, body_kept: true };
}

export function sampleWallet(): WalletView {
  return {
    brief: 'not_backed_up', address: '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266', unit: 'EMBER',
    balance: {
      earned_here: '18.624', earned_elsewhere: '0', received: '0', balance: '6.0902', withdrawn: '10.494', fees: '0.006', pending: '2.0338',
    },
    proved_at: NOW - 2 * MINUTE, fee: '0.0031',
    withdrawals: [
      { id: 'a1', at: NOW - 72 * HOUR, to: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8', amount: '3.498', fee: '0.002', state: 'final', transaction: '0xabc', block: 38_201_774 },
      { id: 'a0', at: NOW - 480 * HOUR, to: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8', amount: '4.998', fee: '0.002', state: 'dropped', transaction: null, block: null },
    ],
    error: null,
  };
}

export interface Scene {
  status?: Status;
  connection?: Connection;
  picture?: Picture | null;
  preferences?: Preferences;
  wallet?: WalletView;
  earnings?: Earnings;
  privacy?: Privacy;
  message?: SentMessage | null;
  /** Failures by command. */
  failures?: Partial<Record<Command['command'], LocalError>>;
  locale?: string;
}

/** The status while work of another family is at hand. */
export function statusAt(family: Work['family'], state: State = 'sharing'): Status {
  const status = sampleStatus(state);
  if (!status.work) return status;
  const purpose = 'Work of this family, for somebody who pays for it.';
  return { ...status, work: { ...status.work, family, title: family, purpose, publisher: 'Kiln Studio', slices_done: 29, hits: [] } };
}

/**
 * The scene that an address asks for, for looking at the page in a plain browser: `?work=rendering`, `?state=paused`,
 * `?language=ja`, `?appearance=dark`.
 */
export function sceneAt(search: string): Scene {
  const asked = new URLSearchParams(search);
  const state = asked.get('state') === 'paused' ? 'paused' : 'sharing';
  const dress = {
    ...preferences, language: asked.get('language') ?? 'en', appearance: asked.get('appearance') === 'dark' ? 'dark' : 'light',
  } satisfies Preferences;
  const family = asked.get('work');
  if (family === 'rendering') {
    return { preferences: dress, status: statusAt(family, state), picture: { kind: 'image', ...sampleImage() } };
  }
  if (family === 'matrix_product') return { preferences: dress, status: statusAt(family, state), picture: null };
  return { preferences: dress, status: sampleStatus(state) };
}

export class Demo implements Backend {
  readonly asked: Command[] = [];
  readonly saved: { fileName: string; text: string }[] = [];
  private listener: Listener | null = null;
  status: Status;
  preferences: Preferences;

  constructor(readonly scene: Scene = {}) {
    this.status = scene.status ?? sampleStatus();
    this.preferences = scene.preferences ?? preferences;
  }

  async request(command: Command): Promise<Answer> {
    this.asked.push(command);
    const failure = this.scene.failures?.[command.command];
    if (failure) throw failure;
    switch (command.command) {
      case 'preferences':
        return { answer: 'preferences', preferences: this.preferences };
      case 'set_preferences':
        this.preferences = command.preferences;
        return { answer: 'done' };
      case 'checks':
        return { answer: 'checks', checks: sampleChecks() };
      case 'earnings':
        return { answer: 'earnings', earnings: this.scene.earnings ?? sampleEarnings() };
      case 'privacy':
        return { answer: 'privacy', privacy: this.scene.privacy ?? samplePrivacy() };
      case 'sent_message':
        return { answer: 'sent_message', message: this.scene.message === undefined ? sampleMessage() : this.scene.message };
      case 'wallet':
        return { answer: 'wallet', wallet: this.scene.wallet ?? sampleWallet() };
      case 'statement':
        return { answer: 'text', file_name: 'hearth-statement.json', text: '{}' };
      case 'journal':
        return { answer: 'text', file_name: `hearth-journal.${command.format}`, text: 'at,purpose' };
      case 'quote':
        return { answer: 'quote', quote: this.quote(command.to, command.amount) };
      case 'status':
        return { answer: 'status', status: this.status };
      case 'snooze':
        this.push({
          ...this.status, state: 'paused', reasons: [sampleReason('snoozed', { ends_at: NOW + HOUR })],
          snooze: { until_at: NOW + HOUR }, card: { ...this.status.card, sharing: false },
        });
        return { answer: 'done' };
      case 'resume':
        this.push(sampleStatus());
        return { answer: 'done' };
      default:
        return { answer: 'done' };
    }
  }

  private quote(to: string, amount: string): Quote {
    return {
      id: '9c41e07d', to, total: amount || '6.0902', fee: '0.0031', arrives: amount === '5' ? '4.9969' : '6.0871', unit: 'EMBER',
      expires_at: NOW + 5 * MINUTE, unchecked_address: false,
    };
  }

  push(status: Status): void {
    this.status = status;
    this.listener?.status(status);
  }

  async watch(listener: Listener): Promise<() => void> {
    this.listener = listener;
    const connection = this.scene.connection ?? { state: 'connected' };
    listener.connection(connection);
    if (connection.state === 'connected') {
      listener.status(this.status);
      const picture = this.scene.picture === undefined ? ({ kind: 'waterfall', ...samplePicture() } as const) : this.scene.picture;
      if (picture) listener.picture(picture);
    }
    return () => {
      this.listener = null;
    };
  }

  async saveText(fileName: string, text: string): Promise<string> {
    this.saved.push({ fileName, text });
    return `~/Downloads/${fileName}`;
  }

  async painted(): Promise<void> {}

  async locale(): Promise<string> {
    return this.scene.locale ?? 'en';
  }
}
