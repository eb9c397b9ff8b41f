// The reader's language: sentences from the Fluent files that tray and terminal read too, figures by `Intl`.

import { FluentBundle, FluentResource, type FluentVariable } from '@fluent/bundle';
import en from '../locales/en.ftl?raw';
import ja from '../locales/ja.ftl?raw';

export const LANGUAGES = ['en', 'ja'] as const;
export type Language = (typeof LANGUAGES)[number];

function catalogue(language: Language, source: string): FluentBundle {
  const bundle = new FluentBundle(language, { useIsolating: false });
  const errors = bundle.addResource(new FluentResource(source));
  if (errors.length > 0) throw errors[0];
  return bundle;
}

const CATALOGUES: Record<Language, FluentBundle> = { en: catalogue('en', en), ja: catalogue('ja', ja) };

/** The nearest language that there is a catalogue for. */
export function nearest(tag: string): Language {
  const primary = tag.toLowerCase().split(/[-_]/)[0];
  return LANGUAGES.find((language) => language === primary) ?? 'en';
}

class Words {
  language: Language = $state('en');

  use(tag: string): void {
    this.language = nearest(tag);
    document.documentElement.lang = this.language;
  }
}

export const words = new Words();

export type Values = Record<string, FluentVariable>;

/** The sentence of a key, or of `key.attribute`. A key that is missing shows itself, which the tests look for. */
export function t(key: string, values?: Values): string {
  const [id = key, attribute] = key.split('.');
  const bundle = CATALOGUES[words.language];
  const message = bundle.getMessage(id);
  const pattern = attribute ? message?.attributes[attribute] : message?.value;
  if (!pattern) return key;
  const errors: Error[] = [];
  const text = bundle.formatPattern(pattern, values, errors);
  return errors.length > 0 ? `${key}: ${errors[0]?.message}` : text;
}

export function has(key: string): boolean {
  const [id = key, attribute] = key.split('.');
  const message = CATALOGUES[words.language].getMessage(id);
  return attribute ? message?.attributes[attribute] !== undefined : Boolean(message?.value);
}

export interface Piece {
  text: string;
  strong: boolean;
}

/** A sentence whose `<b>` parts stand out; nothing else in it is markup. */
export function pieces(key: string, values?: Values): Piece[] {
  return t(key, values)
    .split(/<b>(.*?)<\/b>/)
    .map((text, index) => ({ text, strong: index % 2 === 1 }))
    .filter((piece) => piece.text !== '');
}
