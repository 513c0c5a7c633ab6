import { useTranslation } from "react-i18next";
import { useProviders } from "../api/queries";
import type { Provider } from "../api/types";
import { Icon } from "../parts/Icon";
import { Table } from "../parts/Table";
import { lackOf } from "../words/server";
import styles from "./Ops.module.css";

/** Each agent: is it ready, what it declares, and what was proved of it. */
export function Providers() {
  const { t } = useTranslation();
  const providers = useProviders();
  return (
    <Table<Provider>
      label={t("ops.providers")}
      rows={providers.data?.items}
      rowKey={(row) => row.name}
      empty={t("ops.noProviders")}
      error={providers.error}
      onRetry={() => void providers.refetch()}
      columns={[
        { id: "title", label: t("ops.provider"), cell: (row) => <span className={styles.still}><strong>{row.title}</strong> <span className={styles.soft}>{row.version}</span></span> },
        { id: "ready", label: t("ops.ready"), cell: (row) => (row.ready ? <span className={styles.good}><Icon name="check" />{t("ops.isReady")}</span> : <span className={styles.soft}>{lackOf(row)}</span>) },
        { id: "can", label: t("ops.can"), cell: (row) => <Capabilities provider={row} /> },
      ]}
    />
  );
}

function Capabilities({ provider }: { provider: Provider }) {
  const { t } = useTranslation();
  const { effective, probed } = provider.capabilities;
  return (
    <ul className={styles.tags}>
      {Object.entries(effective).map(([name, has]) => (
        <li key={name} className={has ? styles.has : styles.lacks} title={t(probed && name in probed ? "ops.proved" : "ops.declared")}>
          <Icon name={has ? "check" : "cross"} size={12} />
          {t(`capability.${name}`, name)}
          {probed && name in probed && <span className={styles.proved}>{t("ops.provedMark")}</span>}
        </li>
      ))}
    </ul>
  );
}
