// What the page knows of the present: the last status, picture and connection, and the time. It asks for nothing by
// itself; pages ask the agent through [Present.backend].

import type { Backend, Connection } from './backend/backend';
import type { Appearance, Earnings, LocalError, Picture, Privacy, Status, WalletView } from './backend/bindings';
import { words } from './words.svelte';

export type PageName = 'home' | 'work' | 'earnings' | 'wallet' | 'privacy' | 'settings';
export const PAGES: PageName[] = ['home', 'work', 'earnings', 'wallet', 'privacy', 'settings'];

/** How often a picture may be drawn. */
const PICTURE_EVERY_MS = 250;

export class Present {
  status: Status | null = $state.raw(null);
  picture: Picture | null = $state.raw(null);
  connection: Connection = $state({ state: 'connecting' });
  page: PageName = $state('home');
  /** Moves with each status, and once a minute between. */
  now: number = $state(Date.now());
  /** The setting that Settings scrolls to, for "Change" beside a reason. */
  wanted: string | null = $state(null);
  /** The step of Welcome. */
  welcomeStep: 1 | 2 | 3 = $state(1);
  /** What went wrong on a page that is gone by now; Home and Wallet show it. */
  failure: LocalError | null = $state(null);

  /** The last answer of each page, shown at once while the next one is on its way. */
  readonly last: { earnings: Earnings | null; privacy: Privacy | null; wallet: WalletView | null } = {
    earnings: null,
    privacy: null,
    wallet: null,
  };

  private drawnAt = 0;
  private waiting: Picture | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly backend: Backend) {}

  /** Starts to listen; the function returned stops. */
  async start(): Promise<() => void> {
    const end = await this.backend.watch({
      status: (status) => {
        this.status = status;
        this.now = Math.max(Date.now(), status.at);
      },
      picture: (picture) => this.show(picture),
      connection: (connection) => {
        this.connection = connection;
      },
    });
    const minute = setInterval(() => {
      this.now = Date.now();
    }, 60_000);
    const seen = () => {
      if (!document.hidden && this.waiting) this.show(this.waiting);
    };
    document.addEventListener('visibilitychange', seen);
    return () => {
      clearInterval(minute);
      clearTimeout(this.timer);
      document.removeEventListener('visibilitychange', seen);
      end();
    };
  }

  go(page: PageName, wanted: string | null = null): void {
    this.page = page;
    this.failure = null;
    this.wanted = wanted;
  }

  /** Language and appearance as the owner chose them; empty and `system` follow the system. */
  async dress(language: string, appearance: Appearance): Promise<void> {
    words.use(language === '' ? await this.backend.locale() : language);
    if (appearance === 'system') delete document.documentElement.dataset.appearance;
    else document.documentElement.dataset.appearance = appearance;
  }

  // At most four pictures a second, none while the window is hidden; the latest is never lost.
  private show(picture: Picture): void {
    this.waiting = picture;
    if (document.hidden) return;
    const rest = this.drawnAt + PICTURE_EVERY_MS - Date.now();
    clearTimeout(this.timer);
    if (rest > 0) {
      this.timer = setTimeout(() => this.show(picture), rest);
      return;
    }
    this.drawnAt = Date.now();
    this.picture = picture;
    this.waiting = null;
  }
}
