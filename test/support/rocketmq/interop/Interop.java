import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageClientExt;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;

/**
 * Apache's own Java client behind a line protocol, for interop tests: one JSON object per line, `{id, command, ...}` on
 * standard input and `{id, result}` or `{id, error, responseCode}` on standard output. Commands run side by side.
 * 64-bit numbers are text; bodies are base64. It ends when standard input does. Its TypeScript side is interop.ts.
 */
public class Interop {
    private static JSONObject options;
    private static PrintStream answers;
    private static final Map<String, DefaultMQProducer> PRODUCERS = new ConcurrentHashMap<>();
    private static final Map<String, TransactionMQProducer> TRANSACTION_PRODUCERS = new ConcurrentHashMap<>();
    private static final Map<String, DefaultMQPullConsumer> CONSUMERS = new ConcurrentHashMap<>();
    /** Transaction checks that came from brokers, by producer group. */
    private static final Map<String, Queue<Object>> CHECKS = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        options = JSON.parseObject(args[0]);
        answers = new PrintStream(System.out, true, "UTF-8");
        System.setOut(System.err); // whatever else prints must not get between the answers
        ExecutorService threads = Executors.newCachedThreadPool();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        answer(map("ready", true));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            JSONObject request = JSON.parseObject(line);
            threads.execute(() -> handle(request));
        }
        Runtime.getRuntime().halt(0);
    }

    private static void handle(JSONObject request) {
        try {
            answer(map("id", request.get("id"), "result", run(request)));
        } catch (Throwable error) {
            Integer code = null;
            for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                if (cause instanceof MQBrokerException) code = ((MQBrokerException) cause).getResponseCode();
                else if (code == null && cause instanceof MQClientException) code = ((MQClientException) cause).getResponseCode();
            }
            error.printStackTrace();
            answer(map("id", request.get("id"), "error", String.valueOf(error), "responseCode", code));
        }
    }

    private static synchronized void answer(Object value) {
        answers.println(JSON.toJSONString(value));
    }

    private static Object run(JSONObject r) throws Exception {
        switch (r.getString("command")) {
            case "send": return send(r);
            case "sendBatch": return sendBatch(r);
            case "sendTransaction": return sendTransaction(r);
            case "transactionChecks": return new ArrayList<>(checks(group(r, "producerGroup")));
            case "recall": return producer(r).recallMessage(r.getString("topic"), r.getString("recallHandle"));
            case "pull": return pull(r);
            case "sendBack": return sendBack(r);
            case "consume": return consume(r);
            case "litePull": return litePull(r);
            case "queues": return queues(r);
            case "committedOffset": return text(consumer(r).fetchConsumeOffset(queue(r), true));
            case "commitOffset": {
                consumer(r).getOffsetStore().updateConsumeOffsetToBroker(queue(r), r.getLongValue("offset"), false);
                return null;
            }
            case "minOffset": return text(consumer(r).minOffset(queue(r)));
            case "maxOffset": return text(consumer(r).maxOffset(queue(r)));
            case "searchOffset": return text(consumer(r).searchOffset(queue(r), r.getLongValue("timestamp")));
            case "viewMessage": return message(producer(r).viewMessage(r.getString("topic"), r.getString("messageId")));
            case "queryByKey": return messages(producer(r).queryMessage(r.getString("topic"), r.getString("key"),
                r.getIntValue("maxMessages", 32), r.getLongValue("begin", 0), r.getLongValue("end", Long.MAX_VALUE)).getMessageList());
            default: throw new IllegalArgumentException("unknown command " + r.getString("command"));
        }
    }

    // Clients, one for each group, kept until the end

    private static String group(JSONObject r, String name) {
        return r.getString(name) == null ? "interop-group" : r.getString(name);
    }

    private static RPCHook credentials() {
        if (options.getString("accessKey") == null) return null;
        return new AclClientRPCHook(new SessionCredentials(
            options.getString("accessKey"), options.getString("secretKey"), options.getString("securityToken")));
    }

    private static void configure(ClientConfig client) {
        client.setNamesrvAddr(options.getString("nameServers"));
        client.setInstanceName("interop-" + System.identityHashCode(client));
        client.setPollNameServerInterval(1000); // or a new retry topic is found after 30 s only
        client.setUseTLS(options.getBooleanValue("tls"));
        if (options.getString("namespace") != null) client.setNamespace(options.getString("namespace"));
    }

    private static DefaultMQProducer producer(JSONObject r) throws Exception {
        String compress = r.getString("compress");
        String key = group(r, "producerGroup") + "/" + compress;
        synchronized (PRODUCERS) {
            DefaultMQProducer producer = PRODUCERS.get(key);
            if (producer != null) return producer;
            producer = new DefaultMQProducer(group(r, "producerGroup"), credentials());
            configure(producer);
            producer.setSendMsgTimeout(10_000);
            if (compress != null) {
                producer.setCompressType(CompressionType.valueOf(compress));
                producer.setCompressMsgBodyOverHowmuch(1);
            }
            producer.start();
            PRODUCERS.put(key, producer);
            return producer;
        }
    }

    private static DefaultMQPullConsumer consumer(JSONObject r) throws Exception {
        String group = group(r, "consumerGroup");
        synchronized (CONSUMERS) {
            DefaultMQPullConsumer consumer = CONSUMERS.get(group);
            if (consumer != null) return consumer;
            consumer = new DefaultMQPullConsumer(group, credentials());
            configure(consumer);
            consumer.setEnableRebalance(false);
            consumer.start();
            CONSUMERS.put(group, consumer);
            return consumer;
        }
    }

    // Sending

    private static Message toMessage(JSONObject r) {
        Message message = new Message(r.getString("topic"), Base64.getDecoder().decode(r.getString("body")));
        if (r.getString("tag") != null) message.setTags(r.getString("tag"));
        if (r.getJSONArray("keys") != null) message.setKeys(r.getJSONArray("keys").toList(String.class));
        message.setFlag(r.getIntValue("flag"));
        JSONObject user = r.getJSONObject("properties");
        if (user != null) user.forEach((name, value) -> message.putUserProperty(name, String.valueOf(value)));
        JSONObject system = r.getJSONObject("systemProperties");
        if (system != null) system.forEach((name, value) -> MessageAccessor.putProperty(message, name, String.valueOf(value)));
        if (r.get("delayLevel") != null) message.setDelayTimeLevel(r.getIntValue("delayLevel"));
        if (r.get("delayMs") != null) message.setDelayTimeMs(r.getLongValue("delayMs"));
        if (r.get("deliverAt") != null) message.setDeliverTimeMs(r.getLongValue("deliverAt"));
        if (r.get("waitStoreMsgOK") != null) message.setWaitStoreMsgOK(r.getBooleanValue("waitStoreMsgOK"));
        return message;
    }

    private static Object send(JSONObject r) throws Exception {
        DefaultMQProducer producer = producer(r);
        Message message = toMessage(r);
        String shardingKey = r.getString("shardingKey");
        if (r.getBooleanValue("oneway")) {
            producer.sendOneway(message);
            return null;
        }
        if (shardingKey != null) return sent(producer.send(message, new SelectMessageQueueByHash(), shardingKey));
        return sent(r.get("queue") == null ? producer.send(message) : producer.send(message, queue(r)));
    }

    private static Object sendBatch(JSONObject r) throws Exception {
        List<Message> batch = new ArrayList<>();
        JSONArray list = r.getJSONArray("messages");
        for (int i = 0; i < list.size(); i++) {
            JSONObject message = list.getJSONObject(i);
            message.put("topic", r.getString("topic"));
            batch.add(toMessage(message));
        }
        return sent(r.get("queue") == null ? producer(r).send(batch) : producer(r).send(batch, queue(r)));
    }

    private static Object sendTransaction(JSONObject r) throws Exception {
        TransactionMQProducer producer;
        String group = group(r, "producerGroup");
        synchronized (TRANSACTION_PRODUCERS) {
            producer = TRANSACTION_PRODUCERS.get(group);
            if (producer == null) {
                producer = new TransactionMQProducer(group, credentials());
                configure(producer);
                producer.setTransactionListener(new Decisions(group));
                producer.start();
                TRANSACTION_PRODUCERS.put(group, producer);
            }
        }
        return sent(producer.sendMessageInTransaction(toMessage(r), r.getString("outcome")));
    }

    private static Queue<Object> checks(String group) {
        return CHECKS.computeIfAbsent(group, (key) -> new ConcurrentLinkedQueue<>());
    }

    private static LocalTransactionState state(String outcome) {
        if ("commit".equals(outcome)) return LocalTransactionState.COMMIT_MESSAGE;
        return "rollback".equals(outcome) ? LocalTransactionState.ROLLBACK_MESSAGE : LocalTransactionState.UNKNOW;
    }

    /** Ends a transaction as the command says; a check is answered by the message's user property `onCheck`. */
    private static class Decisions implements TransactionListener {
        private final String group;

        Decisions(String group) {
            this.group = group;
        }

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object outcome) {
            return state((String) outcome);
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            checks(group).add(message(message));
            return state(message.getUserProperty("onCheck"));
        }
    }

    private static Object sent(SendResult result) {
        return map("status", result.getSendStatus().name(), "messageId", result.getMsgId(), "offsetMessageId", result.getOffsetMsgId(),
            "queue", fromQueue(result.getMessageQueue()), "queueOffset", text(result.getQueueOffset()),
            "transactionId", result.getTransactionId(), "recallHandle", result.getRecallHandle());
    }

    // Receiving

    private static MessageSelector selector(JSONObject r) {
        if (r.getString("sql") != null) return MessageSelector.bySql(r.getString("sql"));
        return MessageSelector.byTag(r.getString("filter") == null ? "*" : r.getString("filter"));
    }

    private static PullResult pullOnce(JSONObject r, int maxMessages) throws Exception {
        return consumer(r).pull(queue(r), selector(r), r.getLongValue("offset"), maxMessages, 10_000);
    }

    private static Object pull(JSONObject r) throws Exception {
        PullResult result = pullOnce(r, r.getIntValue("maxMessages", 32));
        return map("status", result.getPullStatus().name(), "nextBeginOffset", text(result.getNextBeginOffset()),
            "minOffset", text(result.getMinOffset()), "maxOffset", text(result.getMaxOffset()), "messages", messages(result.getMsgFoundList()));
    }

    private static Object sendBack(JSONObject r) throws Exception {
        MessageExt message = pullOnce(r, 1).getMsgFoundList().get(0);
        consumer(r).sendMessageBack(message, r.getIntValue("delayLevel"), message.getBrokerName());
        return null;
    }

    /** A push consumer from the group's start until it has received `expected` messages; `failures` attempts of each fail. */
    private static Object consume(JSONObject r) throws Exception {
        int expected = r.getIntValue("expected");
        int failures = r.getIntValue("failures");
        Queue<Object> received = new ConcurrentLinkedQueue<>();
        CountDownLatch done = new CountDownLatch(expected);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group(r, "consumerGroup"), credentials());
        configure(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.setAwaitTerminationMillisWhenShutdown(5_000); // or the last message is not among what is committed
        consumer.setPullInterval(1_000); // or a pull from before the last message, which commits too, may overtake what shutdown commits
        consumer.subscribe(r.getString("topic"), selector(r));
        if (r.getBooleanValue("orderly")) {
            consumer.registerMessageListener((MessageListenerOrderly) (list, context) -> {
                received.add(message(list.get(0)));
                done.countDown();
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (list, context) -> {
                received.add(message(list.get(0)));
                done.countDown();
                context.setDelayLevelWhenNextConsume(1);
                return list.get(0).getReconsumeTimes() < failures
                    ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        consumer.start();
        try {
            if (!done.await(r.getLongValue("timeoutMs", 120_000), TimeUnit.MILLISECONDS)) {
                throw new IllegalStateException("received " + received.size() + " of " + expected + " messages");
            }
        } finally {
            consumer.shutdown(); // commits
        }
        return new ArrayList<>(received);
    }

    /** A lite pull consumer from the group's start until it has `expected` messages; then it commits and leaves. */
    private static Object litePull(JSONObject r) throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group(r, "consumerGroup"), credentials());
        configure(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setAutoCommit(false);
        consumer.subscribe(r.getString("topic"), selector(r));
        consumer.start();
        List<Object> received = new ArrayList<>();
        long limit = System.currentTimeMillis() + r.getLongValue("timeoutMs", 120_000);
        try {
            while (received.size() < r.getIntValue("expected")) {
                if (System.currentTimeMillis() > limit) throw new IllegalStateException("received " + received.size());
                received.addAll(messages(consumer.poll(500)));
            }
            consumer.commit();
        } finally {
            consumer.shutdown(); // saves what was committed
        }
        return received;
    }

    private static Object queues(JSONObject r) throws Exception {
        List<MessageQueue> queues = new ArrayList<>(consumer(r).fetchSubscribeMessageQueues(r.getString("topic")));
        queues.sort(null);
        List<Object> list = new ArrayList<>();
        for (MessageQueue queue : queues) list.add(fromQueue(queue));
        return list;
    }

    // Values

    private static MessageQueue queue(JSONObject r) {
        JSONObject queue = r.getJSONObject("queue");
        return new MessageQueue(queue.getString("topic"), queue.getString("brokerName"), queue.getIntValue("queueId"));
    }

    private static Object fromQueue(MessageQueue queue) {
        return queue == null ? null
            : map("topic", queue.getTopic(), "brokerName", queue.getBrokerName(), "queueId", queue.getQueueId());
    }

    private static List<Object> messages(List<MessageExt> list) {
        List<Object> values = new ArrayList<>();
        if (list != null) for (MessageExt message : list) values.add(message(message));
        return values;
    }

    private static Object message(MessageExt m) {
        String offsetMessageId = m instanceof MessageClientExt ? ((MessageClientExt) m).getOffsetMsgId() : null;
        byte[] body = m.getBody() == null ? new byte[0] : m.getBody();
        return map("topic", m.getTopic(), "messageId", m.getMsgId(), "offsetMessageId", offsetMessageId, "tag", m.getTags(),
            "keys", m.getKeys() == null ? new ArrayList<>() : Arrays.asList(m.getKeys().split(" ")),
            "properties", new TreeMap<>(m.getProperties()), "body", Base64.getEncoder().encodeToString(body),
            "brokerName", m.getBrokerName(), "queueId", m.getQueueId(), "queueOffset", text(m.getQueueOffset()),
            "commitLogOffset", text(m.getCommitLogOffset()), "bornTimestamp", text(m.getBornTimestamp()),
            "storeTimestamp", text(m.getStoreTimestamp()), "bornHost", address(m.getBornHost()), "storeHost", address(m.getStoreHost()),
            "reconsumeTimes", m.getReconsumeTimes(), "flag", m.getFlag(), "sysFlag", m.getSysFlag(), "bodyCrc", m.getBodyCRC(),
            "storeSize", m.getStoreSize(), "preparedTransactionOffset", text(m.getPreparedTransactionOffset()),
            "transactionId", m.getTransactionId());
    }

    private static String address(java.net.SocketAddress socket) {
        InetSocketAddress address = (InetSocketAddress) socket;
        return address.getAddress().getHostAddress() + ":" + address.getPort();
    }

    private static String text(long value) {
        return Long.toString(value);
    }

    private static Map<String, Object> map(Object... entries) {
        Map<String, Object> map = new TreeMap<>();
        for (int i = 0; i < entries.length; i += 2) if (entries[i + 1] != null) map.put((String) entries[i], entries[i + 1]);
        return map;
    }
}
