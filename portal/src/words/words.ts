/** The portal's languages: English is the source, Chinese is read when it is chosen. */
import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import en from "./en.json";

export type Language = "en" | "zh";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "words";
    resources: { words: typeof en };
  }
}

export const words = i18next.createInstance();

export function languageOfBrowser(): Language {
  return navigator.languages.some((one) => one.toLowerCase().startsWith("zh")) ? "zh" : "en";
}

export async function beginWords(language: Language): Promise<void> {
  await words.use(initReactI18next).init({
    resources: { en: { words: en } },
    lng: "en",
    fallbackLng: "en",
    defaultNS: "words",
    ns: ["words"],
    interpolation: { escapeValue: false },
  });
  await speak(language);
}

export async function speak(language: Language): Promise<void> {
  if (language === "zh" && !words.hasResourceBundle("zh", "words")) {
    const [zh, server] = await Promise.all([import("./zh.json"), import("./server.zh.json")]);
    words.addResourceBundle("zh", "words", zh.default);
    words.addResourceBundle("zh", "server", server.default);
  }
  await words.changeLanguage(language);
  document.documentElement.lang = language;
}
