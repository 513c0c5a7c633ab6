import { createStore } from "zustand/vanilla";

/** What the one live region says: started, needs you, finished, failed. The log itself is silent. */
export const announced = createStore<{ words: string }>(() => ({ words: "" }));

export const announce = (words: string): void => announced.setState({ words });
