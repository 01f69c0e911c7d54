/**
 * With POWERTOOLS_METRICS_NAMESPACE a function writes CloudWatch metrics, under the service POWERTOOLS_SERVICE_NAME;
 * POWERTOOLS_METRICS_DISABLED=true turns them off.
 */
import type { MetricsOptions } from '../src/lambda/report.ts'

export function metricsOptions(): false | MetricsOptions {
  const {
    POWERTOOLS_METRICS_NAMESPACE: namespace,
    POWERTOOLS_METRICS_DISABLED,
    POWERTOOLS_SERVICE_NAME: service,
  } = process.env
  if (!namespace || POWERTOOLS_METRICS_DISABLED === 'true') return false
  return { namespace, ...(service ? { dimensions: { service } } : {}) }
}
